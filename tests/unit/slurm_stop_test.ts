import { strict as assert } from "node:assert";
import { join } from "node:path";
import { CapturedLog } from "../support/captured_log.ts";
import { AWAY, begun, FakeNode, FakeSlurm, submitted } from "../support/fake_slurm.ts";
import { assertJobError } from "../support/job_errors.ts";

Deno.test("SlurmExecutor: a job that waits is taken back by its launch record, then by Slurm", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended, node } = await submitted(slurm);
  slurm.failures.set("scancel", AWAY);
  using _log = new CapturedLog();
  await slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() + 1000 });
  const ending = await ended;
  assert(ending.kind === "never-ran");
  assert.equal(ending.reason, "it was stopped before its command began");
  assert.equal(node.launch(), false);
  slurm.failures.clear();
  await slurm.until("the cancel", () => slurm.jobs.get(request.jobId)?.state === "CANCELLED");
});

Deno.test("SlurmExecutor: a job that runs is stopped by its listener, which is woken by the job's name", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended, node } = await begun(slurm);
  const stopped = slurm.executor.stop(request, {
    signal: "INT",
    killAtMs: slurm.clock.nowMs() + 5000,
    mainOnly: true,
  });
  const order = await slurm.until("the order", () => node.answer());
  assert.equal(order, "1 stop INT 5000 main");
  await slurm.inTime("the stop", stopped);
  assert.deepEqual(slurm.callsOf("scancel"), [
    `scancel --full --signal=USR1 --name=${request.jobId} --user=0`,
  ]);
  node.end(130, "Interrupt\n");
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: a launcher is not woken before its first line, since it would die of it", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended } = await submitted(slurm);
  // It has created the record, and no more.
  await Deno.writeTextFile(join(request.folder, "launch"), "");
  void slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() + 60_000 });
  await slurm.pass(3000);
  assert.deepEqual(slurm.callsOf("scancel"), []);
  const node = new FakeNode(request);
  node.write("launcher 17 100 boot\nnode d1\n");
  await slurm.until("the order", () => node.answer());
  node.write("refused stopped\nend\n");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.equal(ending.reason, "it was stopped before its command began");
});

Deno.test("SlurmExecutor: a listener that has missed a signal is woken again for the same order", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended, node } = await begun(slurm);
  const killAtMs = slurm.clock.nowMs() + 60_000;
  const stopped = slurm.executor.stop(request, { signal: "TERM", killAtMs });
  await slurm.until("the second signal", () => slurm.callsOf("scancel").length === 2);
  assert.match(node.answer() ?? "", /^1 stop TERM/);
  await slurm.inTime("the stop", stopped);
  assert.equal(slurm.callsOf("scancel").length, 2);
  node.end(143, "Terminated\n");
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: an order is repeated until the listener answers, and SIGKILL until the job has ended", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended, node } = await begun(slurm);
  slurm.failures.set("scancel", AWAY);
  void slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() + 3000 });
  await slurm.until("the second order", () => /^[2-9] stop TERM/.test(node.order()));
  slurm.failures.clear();
  await slurm.until("the order to kill", () => / kill$/.test(node.answer() ?? ""));
  await slurm.until("the next one", () => / kill$/.test(node.answer() ?? ""));
  node.end(137, "Killed\n");
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: a second stop brings SIGKILL forward, and does not repeat the signal", async () => {
  await using slurm = await FakeSlurm.open();
  const { request, ended, node } = await begun(slurm);
  const killAtMs = slurm.clock.nowMs() + 600_000;
  void slurm.executor.stop(request, { signal: "TERM", killAtMs });
  await slurm.until("the order", () => node.answer());
  await slurm.pass(1000);
  await slurm.executor.stop(request, { signal: "TERM", killAtMs: killAtMs + 1000 });
  await slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() + 4000 });
  const beganAtMs = slurm.clock.nowMs();
  assert.equal(await slurm.until("the next order", () => node.answer()), "2 kill");
  const tookMs = slurm.clock.nowMs() - beganAtMs;
  assert(tookMs >= 3000 && tookMs < 300_000, `${tookMs}`);
  node.end(137, "Killed\n");
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: where no launcher answers, Slurm is asked to end the job, by its name", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await begun(slurm);
  void slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() });
  const cancel = `scancel --name=${request.jobId} --user=0`;
  await slurm.pass(20_000);
  assert(!slurm.calls.includes(cancel));
  await slurm.until("the cancel", () => slurm.calls.includes(cancel));
  const ending = await slurm.inTime("the end", ended);
  assert.equal(ending.kind, "lost");
});

Deno.test("SlurmExecutor: a job that Slurm cannot signal, since it has suspended it, is ended by Slurm", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await begun(slurm);
  slurm.say(request.jobId, "SUSPENDED");
  slurm.unsignalled = { status: 228, text: "scancel: error: Job can not be altered now\n" };
  void slurm.executor.stop(request, { signal: "TERM", killAtMs: slurm.clock.nowMs() });
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /CANCELLED/);
});

Deno.test("SlurmExecutor: a signal is for jobs that have begun, and its answer is the node's", async () => {
  await using slurm = await FakeSlurm.open();
  const waiting = await submitted(slurm);
  await assertJobError(
    slurm.executor.signal(waiting.request, "HUP"),
    "precondition",
    /has not begun/,
  );
  const { request, node } = await begun(slurm);
  for (const answer of ["reached", "nobody"] as const) {
    const signalled = slurm.executor.signal(request, "HUP");
    assert.match(await slurm.until("the order", () => node.answer(answer)), / signal HUP all$/);
    assert.equal(await slurm.inTime("the answer", signalled), answer === "reached");
  }
  const unheard = slurm.executor.signal(request, "HUP");
  await assertJobError(slurm.inTime("the answer", unheard), "precondition", /has not answered/);
});
