import { strict as assert } from "node:assert";
import { join } from "node:path";
import { CapturedLog } from "../support/captured_log.ts";
import { AWAY, begun, FakeNode, FakeSlurm, submitted } from "../support/fake_slurm.ts";
import { isSettled } from "../support/settled.ts";

Deno.test("SlurmExecutor: a later server finds a job in each of its states", async () => {
  await using slurm = await FakeSlurm.open();
  const waiting = await submitted(slurm);
  const running = await begun(slurm);
  const over = await begun(slurm);
  over.node.end(5);
  const executor = await slurm.restart();
  const adoptions = await executor.adopt([
    slurm.adoption(waiting.request, "pending"),
    slurm.adoption(running.request, "begun"),
    slurm.adoption(over.request, "begun"),
  ]);
  const trackedOf = (jobId: string) => {
    const adoption = adoptions.get(jobId);
    assert(adoption?.kind === "tracked");
    return adoption;
  };
  const ending = await slurm.inTime("the end", trackedOf(over.request.jobId).ended);
  assert(ending.kind === "exited");
  assert.equal(ending.exitCode, 5);
  await slurm.inTime("the beginning", trackedOf(running.request.jobId).whenBegun);
  waiting.node.begin();
  await slurm.inTime("the beginning", trackedOf(waiting.request.jobId).whenBegun);
});

Deno.test("SlurmExecutor: of a start that a server left half done, what Slurm has goes on, and the rest cannot begin", async () => {
  await using slurm = await FakeSlurm.open();
  const taken = await submitted(slurm);
  const left = await slurm.request();
  const launched = await slurm.request();
  new FakeNode(launched).begin();
  const executor = await slurm.restart();
  const adoptions = await slurm.inTime(
    "adoption",
    executor.adopt([taken.request, left, launched].map((one) => slurm.adoption(one, "starting"))),
  );
  assert.equal(adoptions.get(taken.request.jobId)?.kind, "tracked");
  assert.equal(adoptions.get(launched.jobId)?.kind, "tracked");
  assert.equal(adoptions.get(left.jobId)?.kind, "never-started");
  assert.equal(new FakeNode(left).launch(), false);
});

Deno.test("SlurmExecutor: a start that was left half done cannot begin either where Slurm cannot be asked", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, node } = await submitted(slurm);
  const executor = await slurm.restart();
  slurm.failures.set("squeue", AWAY);
  const adoptions = await slurm.inTime(
    "adoption",
    executor.adopt([slurm.adoption(request, "starting")]),
  );
  assert.equal(adoptions.get(request.jobId)?.kind, "never-started");
  assert.equal(node.launch(), false);
});

Deno.test("SlurmExecutor: a job that a server took back before it could say so has never run", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended } = await submitted(slurm);
  await slurm.executor.stop(request, { signal: "TERM", killAtMs: 0 });
  await ended;
  const executor = await slurm.restart();
  const adoption = (await executor.adopt([slurm.adoption(request, "pending")])).get(request.jobId);
  assert(adoption?.kind === "tracked");
  const ending = await slurm.inTime("the end", adoption.ended);
  assert.equal(ending.kind, "never-ran");
});

Deno.test("SlurmExecutor: jobs whose share is not mounted are not taken for gone", async () => {
  await using slurm = await FakeSlurm.open();
  using log = new CapturedLog();
  const { request: { jobId }, ended } = await submitted(slurm);
  slurm.say(jobId, "CANCELLED");
  const away = `${slurm.folder}-away`;
  await Deno.rename(slurm.folder, away);
  await Deno.mkdir(slurm.folder);
  await slurm.pass(30_000);
  assert.equal(await isSettled(ended), false);
  assert.match(log.texts.join(), /mount the shared file system/);
  await Deno.remove(slurm.folder);
  await Deno.rename(away, slurm.folder);
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: a server with jobs does not start over a share that is not mounted", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await submitted(slurm);
  await Deno.remove(join(slurm.folder, "job-worker-share"));
  for (const _time of ["first", "second"]) {
    const executor = await slurm.restart();
    await assert.rejects(
      executor.adopt([slurm.adoption(request, "pending")]),
      /lacks the file job-worker-share.*mount/,
    );
  }
});

Deno.test("SlurmExecutor: a server with jobs of its host on record does not start over a cluster", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await submitted(slurm);
  const adoption = { ...slurm.adoption(request, "begun"), handle: { tracker: "/sys/fs/cgroup" } };
  await assert.rejects(
    slurm.executor.adopt([adoption]),
    /jobs on record run on this host.*without --engine slurm/,
  );
});

Deno.test("SlurmExecutor: a job whose folder was removed is lost, and what was not begun never ran", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended } = await submitted(slurm);
  await Deno.remove(request.folder, { recursive: true });
  slurm.say(request.jobId, "FAILED");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /FAILED; look whether node d1 can write to the shared folder/);
});

Deno.test("SlurmExecutor: a job that has removed its launch record is lost when Slurm has ended it, and runs no more", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended, node } = await begun(slurm);
  await Deno.remove(join(request.folder, "launch"));
  await slurm.pass(30_000);
  assert.equal(await isSettled(ended), false, "Slurm says that it runs");
  slurm.say(request.jobId, "COMPLETED");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /launch record was removed/);
  assert.equal(node.launch(), false);
});

Deno.test("SlurmExecutor: a later server does not tell of a job that ran, and whose launch record is gone, that it never did", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await begun(slurm);
  await Deno.remove(join(request.folder, "launch"));
  slurm.say(request.jobId, "FAILED");
  const executor = await slurm.restart();
  const adoption = (await executor.adopt([slurm.adoption(request, "begun")])).get(request.jobId);
  assert(adoption?.kind === "tracked");
  const ending = await slurm.inTime("the end", adoption.ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /launch record was removed/);
});

Deno.test("SlurmExecutor: jobs that run and whose share is away are not taken for lost", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request: { jobId }, ended, node } = await begun(slurm);
  const away = `${slurm.folder}-away`;
  await Deno.rename(slurm.folder, away);
  await Deno.mkdir(slurm.folder);
  slurm.say(jobId, "COMPLETED");
  await slurm.pass(60_000);
  assert.equal(await isSettled(ended), false);
  await Deno.remove(slurm.folder);
  await Deno.rename(away, slurm.folder);
  node.end(0);
  const ending = await slurm.inTime("the end", ended);
  assert.equal(ending.kind, "exited");
});

Deno.test("SlurmExecutor: jobs go on when the executor is closed, and nothing is asked any more", async () => {
  await using slurm = await FakeSlurm.open();
  const { ended } = await begun(slurm);
  await slurm.executor.close();
  const { length } = slurm.calls;
  await slurm.pass(5000);
  assert.equal(slurm.calls.length, length);
  assert.equal(await isSettled(ended), false);
});
