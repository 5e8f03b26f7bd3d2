/** Stopping on pure cgroup v2: cgroup.kill leaves nothing of a job. */
import { strict as assert } from "node:assert";
import { assertGone, processesOf } from "../support/job_traces.ts";
import { until } from "../support/wait.ts";
import { guestTest, newPath, runJob, sharedServer } from "./guest.ts";

/** Ignores SIGTERM, as does all that it starts, each in a session of its own. */
const STUBBORN = "trap '' TERM; " +
  "for number in $(seq 30); do setsid sh -c 'sleep 600; sleep 600' & done; echo ready; wait";

guestTest("stop: ends a tree that ignores SIGTERM in sessions of its own", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.shell(STUBBORN);
  await client.untilOutput(jobId, /ready/);
  // The job's shell, and 30 shells with a sleep each.
  await until("the whole tree", async () => (await processesOf(jobId)).length === 61);
  const beginMs = performance.now();
  await client.stop(jobId, 1000);
  assert(performance.now() - beginMs > 900, "the grace period was kept");
  await assertGone(jobId);
  const status = await client.query(jobId);
  assert.equal(status.state, "JOB_STATE_EXITED");
  assert.equal(status.signal, 9);
  assert.equal(status.exitCode, 137);
  assert.equal(status.oomKilled, false);
});

guestTest("stop: SIGTERM comes first, and what a job then writes is kept", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.shell(
    "trap 'echo farewell; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
  );
  await client.untilOutput(jobId, /ready/);
  await client.stop(jobId, 60_000);
  // In between, the shell may say that its sleep was ended by the same signal.
  assert.match(await client.text(jobId), /^ready\n(?:Terminated\n)?farewell\n$/);
  const status = await client.query(jobId);
  assert.equal(status.exitCode, 3);
  assert.equal(status.signal, 0);
});

guestTest("stop: outruns a job that forks without end", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.script(
    "trap '' TERM; echo ready; while :; do sh -c 'setsid sleep 600 &'; done 2>/dev/null",
    { limits: { processes: 100 } },
  );
  await client.untilOutput(jobId, /ready/);
  await until("a crowd", async () => (await processesOf(jobId)).length > 20);
  await client.stop(jobId, 0);
  await assertGone(jobId);
});

guestTest("end: what the main process leaves behind goes with it", async () => {
  const server = await sharedServer();
  const left = newPath(server);
  const client = server.client();
  const { status, text } = await runJob(
    client,
    `trap '' TERM; setsid sh -c 'echo left; : >"$0"; sleep 600' ${left} & ` +
      `until [ -e ${left} ]; do sleep 0.05; done; exit 5`,
    { gracePeriodMs: 1000 },
  );
  assert.equal(text, "left\n");
  assert.equal(status.exitCode, 5);
  assert.equal(status.signal, 0);
});

/** Defines `hide SCRIPT`: runs a script in a group that the job makes within its own. */
const HIDE = "group=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/hidden/deeper; " +
  'mkdir -p $group; hide() { setsid sh -c "echo \\$\\$ >$group/cgroup.procs; $1" & }; ';

guestTest("stop: reaches what a job hides in groups of its own, and removes those", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.shell(
    `${HIDE} hide "trap 'echo asked; exit' TERM; echo hidden; while :; do sleep 1; done"; wait; sleep 600`,
  );
  await client.untilOutput(jobId, /hidden/);
  await client.stop(jobId, 60_000);
  await assertGone(jobId);
  assert.match(await client.text(jobId), /^hidden\n(?:Terminated\n)?asked\n$/);
});

guestTest("end: what the main process hides in groups of its own goes with it", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.script(
    `${HIDE} hide "trap '' TERM; sleep 600"; hide 'sleep 600'; sleep 1; exit 4`,
    { gracePeriodMs: 1000 },
  );
  assert.equal((await client.wait(jobId)).exitCode, 4);
  await assertGone(jobId);
});
