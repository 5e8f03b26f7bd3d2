/** The boot after the power was cut amid starts and ends: what clients were told of is on record. */
import { strict as assert } from "node:assert";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { assertStatus, type TestClient } from "../support/client.ts";
import type { TestServer } from "../support/server.ts";
import { guestTest, runJob, startServer } from "./guest.ts";
import { exitCodeOf, kindOf, nameOf, outputOf, POWER_CUT_LOG_DIR, WORKERS } from "./power_cut.ts";

const FAILED_PRECONDITION = 9;

let server: Promise<TestServer> | undefined;

/** A client of the server that found what the power cut left. */
async function connect(): Promise<TestClient> {
  server ??= startServer({ logDir: POWER_CUT_LOG_DIR, limits: { memory: "64M" } });
  return (await server).client();
}

/** What the host says on the kernel's command line (tools/vm/power_cut.ts). */
async function parameter(name: string): Promise<string> {
  const words = (await Deno.readTextFile("/proc/cmdline")).trim().split(" ");
  const prefix = `${name}=`;
  const word = words.find((word) => word.startsWith(prefix));
  assert(word !== undefined, `the host says nothing of ${name}`);
  return word.slice(prefix.length);
}

/** The newest job of each client that was answered; 0 for a client that had no answer. */
async function newestJobs(name: string): Promise<number[]> {
  const entries = (await parameter(name)).split(",").filter((entry) => entry !== "")
    .map((entry) => entry.split(":").map(Number));
  const jobs = new Map(entries.map(([worker, number]) => [worker, number ?? 0]));
  return Array.from({ length: WORKERS }, (_, worker) => jobs.get(worker) ?? 0);
}

/** All jobs whose start was answered, as they are now. */
async function* answeredJobs(
  client: TestClient,
): AsyncGenerator<{ worker: number; number: number; status: QueryResponse__Output }> {
  for (const [worker, newest] of (await newestJobs("answered")).entries()) {
    for (let number = 1; number <= newest; number++) {
      yield { worker, number, status: await client.query(nameOf(worker, number)) };
    }
  }
}

guestTest("power cut: each answered start is on record, and what was cut is LOST", async () => {
  assert.notEqual(
    (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim(),
    await parameter("before"),
  );
  const client = await connect();
  const counts = { started: 0, lost: 0 };
  for await (const { number, status } of answeredJobs(client)) {
    counts.started++;
    assert.equal(status.exited, true, status.title);
    if (status.state === "JOB_STATE_LOST") {
      counts.lost++;
      assert.equal(status.exitCode, -1, status.title);
      assert.match(status.reason, /host went down/);
    } else {
      assert.equal(status.state, "JOB_STATE_EXITED", status.title);
      assert.notEqual(kindOf(number), "long", `${status.title} ran when the power was cut`);
      assert.deepEqual([status.exitCode, status.signal], [exitCodeOf(number), 0], status.title);
    }
  }
  console.log(`${counts.started} starts were answered, ${counts.lost} jobs were cut`);
  assert(counts.started >= WORKERS && counts.lost > 0);
});

guestTest("power cut: each answered end is on record with its exit code", async () => {
  const client = await connect();
  let count = 0;
  for (const [worker, newest] of (await newestJobs("ended")).entries()) {
    for (let number = 1; number <= newest; number++) {
      if (kindOf(number) !== "waited") continue;
      count++;
      const { state, exitCode, title } = await client.query(nameOf(worker, number));
      assert.deepEqual([state, exitCode], ["JOB_STATE_EXITED", exitCodeOf(number)], title);
    }
  }
  assert(count > 0, "no end was answered");
});

guestTest(
  "power cut: output is what the job wrote, and whole where its end was recorded",
  async () => {
    const client = await connect();
    for await (const { worker, number, status } of answeredJobs(client)) {
      const text = await client.text(status.jobID);
      const expected = outputOf(worker, number);
      if (status.state === "JOB_STATE_EXITED") assert.equal(text, expected, status.title);
      else assert(expected.startsWith(text), `${status.title}: ${JSON.stringify(text)}`);
    }
  },
);

guestTest("power cut: a job that was cut cannot be stopped", async () => {
  const client = await connect();
  for await (const { status } of answeredJobs(client)) {
    if (status.state !== "JOB_STATE_LOST") continue;
    await assertStatus(client.stop(status.jobID), FAILED_PRECONDITION, /lost/);
    return;
  }
  assert.fail("no job is lost");
});

guestTest("power cut: new jobs run as before", async () => {
  const { status, text } = await runJob(await connect(), "echo again");
  assert.equal(status.exitCode, 0);
  assert.equal(text, "again\n");
});
