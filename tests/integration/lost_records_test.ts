/** The records of jobs are lost, or damaged: the jobs are not. */
// Attacks: the records, by loss and damage.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { status } from "@grpc/grpc-js";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** Of 500,000 lines. */
const OUTPUT_BYTES = 5_000_000;

Deno.test("lost records: jobs that run, and those that have ended, are on record again, with all that was known", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "1M"] });
  const alice = server.client();
  const ended = await alice.startWith({
    name: "/bin/sh",
    args: ["-c", "echo done; exit 3"],
    labels: { batch: "7" },
  });
  await alice.wait(ended);
  const running = await alice.startWith({
    name: "/bin/sh",
    args: ["-c", "seq -f '%09.0f' 1 500000; while :; do sleep 0.1; done"],
    title: "nightly",
  });
  await until("all output, and a cut", async () => {
    const { outputBytes, outputFirstOffset } = await alice.query(running);
    return Number(outputBytes) === OUTPUT_BYTES && Number(outputFirstOffset) > 0;
  });
  const before = await alice.query(running);
  await server.end("SIGKILL");
  for (const name of ["jobs.db", "jobs.db-wal"]) await Deno.remove(join(server.logDir, name));
  await server.launch();

  const again = server.client();
  const { jobs } = await again.list();
  assert.deepEqual(jobs.map(({ jobID }) => jobID).sort(), [ended, running].sort());
  const job = await again.query("nightly");
  assert.equal(job.state, "JOB_STATE_RUNNING");
  for (const field of ["jobID", "pid", "owner", "name", "args", "limits"] as const) {
    assert.deepEqual(job[field], before[field], field);
  }
  let expected = 0;
  for await (
    const { output, offset, gapBytes } of again.messages({ jobID: running, noFollow: true })
  ) {
    assert.equal(Number(offset), expected + Number(gapBytes));
    assert(!output.includes(0), "bytes that were rotated away are shown as zeros");
    expected = Number(offset) + output.length;
  }
  assert.equal(expected, OUTPUT_BYTES);
  await again.stop(running);
  const { signal, exited } = await again.query(running);
  assert(exited && signal === 15);
  const { exitCode, labels } = await again.query(ended);
  assert.equal(exitCode, 3);
  assert.deepEqual(labels, { batch: "7" });
  assert.equal(await again.text(ended), "done\n");
  assert.match(server.log, /records of jobs were lost, and are made again/);
});

Deno.test("damaged records: the server starts, tells each once, and shows, follows and ends all other jobs", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const damaged = await alice.start("sleep", "600");
  const whole = await alice.start("sleep", "600");
  const old = await alice.start("true");
  await alice.wait(old);
  await server.end("SIGKILL");
  const database = new DatabaseSync(join(server.logDir, "jobs.db"));
  database.exec(
    `UPDATE jobs SET first_offset = ${2n ** 62n}, record = '{' WHERE id = '${damaged}';` +
      `UPDATE jobs SET output_bytes = ${2n ** 62n}, first_offset = ${
        2n ** 60n
      } WHERE id = '${old}'`,
  );
  database.close();
  await server.launch();
  const again = server.client();
  const { jobs } = await again.list();
  assert.deepEqual(jobs.map(({ jobID }) => jobID).sort(), [damaged, whole].sort());
  for (const id of [damaged, whole]) await again.stop(id);
  await again.list();
  await assertStatus(again.query(old), status.NOT_FOUND);
  for (const id of [damaged, old]) {
    const told = server.log.split("\n").filter((line) =>
      /is damaged/.test(line) && line.includes(id)
    );
    assert.equal(told.length, 1, id);
  }
  assert((await Deno.stat(join(server.logDir, "jobs", old))).isDirectory);
});
