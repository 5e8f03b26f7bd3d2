/** A server that dies on pure cgroup v2: the next one has every job. */
import { strict as assert } from "node:assert";
import { until } from "../support/wait.ts";
import { assertGone, processesOf } from "../support/job_traces.ts";
import { groupFile, guestTest, newPath, sharedServer } from "./guest.ts";

guestTest(
  "adoption: a running job keeps id, pid, limits, output and true exit status",
  async () => {
    const server = await sharedServer({ memory: "64M" });
    const before = server.client();
    const go = newPath(server);
    const jobId = await before.shell(
      'echo first; until [ -e "$1" ]; do sleep 0.05; done; echo last; exit 9',
      go,
    );
    await before.untilOutput(jobId, /first/);
    const { pid } = await before.query(jobId);
    await server.end("SIGKILL");
    assert.equal((await processesOf(jobId)).includes(pid), true, "the job goes on");
    await server.launch();
    const client = server.client();
    const status = await client.query(jobId);
    assert.equal(status.pid, pid);
    assert.equal(status.state, "JOB_STATE_RUNNING");
    assert.equal(status.limits?.memoryBytes, 64 * 1024 ** 2);
    assert.equal(await groupFile(server, jobId, "memory.max"), String(64 * 1024 ** 2));
    const output = client.text(jobId);
    await Deno.writeTextFile(go, "");
    assert.equal(await output, "first\nlast\n");
    assert.equal((await client.wait(jobId)).exitCode, 9);
    await assertGone(jobId);
  },
);

guestTest("adoption: jobs that end while no server runs keep how they ended", async () => {
  const server = await sharedServer({ memory: "48M" });
  const before = server.client();
  const go = newPath(server);
  const start = (script: string) =>
    before.shell(`until [ -e "$1" ]; do sleep 0.05; done; ${script}`, go);
  const exited = await start("echo bye; exit 7");
  const signalled = await start("kill -USR1 $$");
  const outOfMemory = await start("head -c 200M /dev/zero | tail -c 150M >/dev/null");
  await server.end("SIGKILL");
  await Deno.writeTextFile(go, "");
  for (const jobId of [exited, signalled, outOfMemory]) {
    await until("the job to end", async () => (await processesOf(jobId)).length === 0);
  }
  await server.launch();
  const client = server.client();
  const first = await client.query(exited);
  assert.deepEqual([first.state, first.exitCode, first.signal], ["JOB_STATE_EXITED", 7, 0]);
  assert.equal(await client.text(exited), "bye\n");
  const second = await client.query(signalled);
  assert.deepEqual([second.exitCode, second.signal, second.oomKilled], [138, 10, false]);
  const third = await client.query(outOfMemory);
  assert.deepEqual([third.exitCode, third.signal, third.oomKilled], [137, 9, true]);
  assert((third.usage?.memoryPeakBytes ?? 0) > 40 * 1024 ** 2, "counters are kept too");
});

guestTest("adoption: an adopted job is stopped, with all that ignores SIGTERM", async () => {
  const server = await sharedServer();
  const before = server.client();
  const jobId = await before.shell(
    "trap '' TERM; setsid sleep 600 & setsid sleep 600 & echo ready; wait; sleep 600",
  );
  await before.untilOutput(jobId, /ready/);
  await server.end("SIGKILL");
  await server.launch();
  await server.client().stop(jobId, 500);
  await assertGone(jobId);
  assert.equal((await server.client().query(jobId)).signal, 9);
});

guestTest("adoption: a job whose launcher was killed too is LOST, never a success", async () => {
  const server = await sharedServer();
  const before = server.client();
  const go = newPath(server);
  const jobId = await before.shell(
    'echo orphan; until [ -e "$1" ]; do sleep 0.05; done; exit 0',
    go,
  );
  await before.untilOutput(jobId, /orphan/);
  const { pid } = await before.query(jobId);
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const launcher = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  await server.end("SIGKILL");
  Deno.kill(launcher, "SIGKILL");
  await Deno.writeTextFile(go, "");
  await until("the job to end", async () => (await processesOf(jobId)).length === 0);
  await server.launch();
  const status = await server.client().wait(jobId);
  assert.equal(status.state, "JOB_STATE_LOST");
  assert.equal(status.exitCode, -1);
  assert.match(status.reason, /launcher was killed/);
  assert.equal(await server.client().text(jobId), "orphan\n");
});
