/** A queue on one host: jobs wait for their turn, for others and for a time, over restarts of the server. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { assertStatus } from "../support/client.ts";
import { groupsLeft } from "../support/groups_left.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

async function setQueues(server: TestServer, text: string): Promise<void> {
  await Deno.writeTextFile(join(server.folder, "queues.txt"), text);
}

/** What a command of the client prints; it succeeds. */
async function printed(server: TestServer, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.cli(args);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

/** Processes of launchers that no job keeps busy. */
async function launchersOf(server: TestServer): Promise<number[]> {
  const { stdout } = await run("/bin/sh", [
    "-c",
    'cat /sys/fs/cgroup/*/"$1"/launchers/cgroup.procs /sys/fs/cgroup/"$1"/launchers/cgroup.procs ' +
    "2>/dev/null | sort -u",
    "sh",
    server.cgroupParent,
  ]);
  return stdout.split("\n").filter((line) => line !== "").map(Number);
}

async function lines(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

Deno.test("queue: jobs wait for their turn and for each other, and the client says for what", async () => {
  await using server = await TestServer.start();
  await setQueues(server, "builds 1\nnight 0\n");
  const client = server.client();
  const gate = join(server.folder, "gate");
  const queue = "builds";
  const first = await client.script(`until [ -e ${gate} ]; do sleep 0.02; done`, { queue });
  await until(
    "the first runs",
    async () => (await client.query(first)).state === "JOB_STATE_RUNNING",
  );
  const line = ["start", "--quiet", "--name", "second", "--queue", queue, "--env", "WORD=a b"];
  await printed(server, ...line, "sh", "-c", 'echo "$WORD"');
  const third = await client.startWith({ name: "true", title: "third", queue, after: ["second"] });
  const fourth = await client.startWith({ name: "no-such-program", queue });
  const back = await client.startWith({ name: "true", queue });
  assert.match(
    await printed(server, "query", "--long", "second"),
    /^State: +pending[^]*^Queue: +builds[^]*^Waits for: +its turn in queue builds: 1st of 3$/m,
  );
  const waiting = await client.query(third);
  assert.match(waiting.pendingReason, /^job [0-9a-f-]{36}$/);
  assert.deepEqual([waiting.queue, waiting.queuePosition], ["builds", 0]);
  assert(waiting.submittedAtMs > 0);
  assert.match(
    await printed(server, "doctor"),
    /queue +builds: 1 of 1 run, 4 wait\nok +queue +night: 0 of 0 run, 0 wait/,
  );
  assert.equal(await printed(server, "list", "-q", "--queue", "night"), "");
  const listed = await printed(server, "list", "-q", "--queue", queue);
  assert.equal(listed.split("\n").length, (await client.list({ queue })).jobs.length);
  await client.stop(back);
  // Who follows a job that waits is given all of its output.
  const following = server.cli([
    "run",
    "--quiet",
    "--queue",
    "builds",
    "sh",
    "-c",
    "echo r; exit 3",
  ]);
  await Deno.writeTextFile(gate, "");
  const { code, stdout } = await following;
  assert.deepEqual([code, stdout], [3, "r\n"]);
  assert.equal((await client.wait(third)).exitCode, 0);
  assert.equal(await client.text("second"), "a b\n");
  assert.match(
    (await server.cli(["wait", fourth])).stderr,
    /never ran: Cannot start "no-such-program"/,
  );
  assert.equal((await client.query(back)).reason, "it was stopped before it began");
  await assertStatus(
    client.startWith({ name: "true", queue: "day" }),
    status.INVALID_ARGUMENT,
    /there is no queue "day"; the queues are builds, night/,
  );
  await assertStatus(
    client.startWith({ name: "true", partition: "gpu", queue }),
    status.INVALID_ARGUMENT,
    /--partition needs a server over a cluster/,
  );
});

Deno.test("kill -9: jobs that wait begin once, in their order, whenever the server is killed", async () => {
  await using server = await TestServer.start();
  await setQueues(server, "builds 2\n");
  const trace = join(server.folder, "trace");
  const ids: string[] = [];
  const client = server.client();
  for (let count = 0; count < 16; count++) {
    ids.push(
      await client.script('echo "$JOB_ID $WORD" >>"$PATH_OF_TRACE"; cat; sleep 0.05', {
        queue: "builds",
        env: { WORD: `${count}`, PATH_OF_TRACE: trace },
        stdin: new TextEncoder().encode(`input ${count}`),
        ...(count > 0 && count % 5 === 0 && { after: [ids[count - 1] ?? ""] }),
      }),
    );
  }
  for (let kills = 0; kills < 5; kills++) {
    const before = (await lines(trace)).length;
    // The next turn is being given right then.
    await until("a job begins", async () => (await lines(trace)).length > before);
    await server.end("SIGKILL");
    await server.launch();
  }
  const later = server.client();
  const ends = await Promise.all(ids.map((id) => later.wait(id)));
  assert.deepEqual(ends.map(({ state, exitCode }) => `${state} ${exitCode}`), [
    ...ids.map(() => "JOB_STATE_EXITED 0"),
  ]);
  const expected = ids.map((id, at) => `${id} ${at}`);
  assert.deepEqual((await lines(trace)).toSorted(), expected.toSorted());
  for (const [at, id] of ids.entries()) assert.equal(await later.text(id), `input ${at}`);
  // Nothing of what they were given is left.
  const { stdout } = await run("find", [server.logDir, "-name", "held"]);
  assert.equal(stdout, "");
});

Deno.test("kill -9: a launcher that is late finds its job withdrawn, and the next one runs it", async () => {
  await using server = await TestServer.start();
  await setQueues(server, "builds 1\n");
  const trace = join(server.folder, "trace");
  await server.client().wait(await server.client().start("true"));
  await until("its groups are gone", async () => await groupsLeft(server) === 0);
  // Whoever is given the job does nothing about it until the server is gone.
  const stalled = await until("launchers wait", async () => {
    const pids = await launchersOf(server);
    return pids.length > 0 && pids;
  });
  for (const pid of stalled) Deno.kill(pid, "SIGSTOP");
  try {
    const id = await server.client().script(`echo run >>${trace}`, { queue: "builds" });
    const folder = join(server.logDir, "jobs", id);
    // They are made for it just before a launcher is given it.
    await until("it is handed over", async () => await groupsLeft(server) > 0);
    assert((await Deno.stat(join(folder, "held"))).isFile);
    await server.end("SIGKILL");
    await server.launch();
    const { state, exitCode } = await server.client().wait(id);
    assert.deepEqual([state, exitCode], ["JOB_STATE_EXITED", 0]);
    assert((await Deno.stat(join(folder, "attempt-2", "launch"))).isFile);
  } finally {
    for (const pid of stalled) Deno.kill(pid, "SIGCONT");
  }
  await until("the late ones are gone", async () => {
    const pids = await launchersOf(server);
    return stalled.every((pid) => !pids.includes(pid));
  });
  assert.deepEqual(await lines(trace), ["run"]);
});
