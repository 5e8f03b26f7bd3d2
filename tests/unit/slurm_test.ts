import { strict as assert } from "node:assert";
import { parseQueue } from "../../lib/executor/slurm/queue.ts";
import { TrackedJob } from "../../lib/executor/slurm/tracked_job.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { AWAY, begun, FakeSlurm, submitted } from "../support/fake_slurm.ts";
import { isSettled, turn } from "../support/settled.ts";

Deno.test("SlurmExecutor: a job waits, begins on a node and ends, by its launch record", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { jobId }, engineJob, whenBegun, ended, node } = await submitted(slurm);
  assert.equal(engineJob, "1");
  const [status] = await slurm.until("the queue's answer", () => {
    const statuses = slurm.executor.statuses([jobId]);
    return statuses[0] === undefined ? undefined : statuses;
  });
  assert.equal(status?.engineState, "PENDING");
  assert.equal(status?.pendingReason, "Priority");
  assert.equal(await isSettled(whenBegun), false);

  node.begin();
  const { pid, node: name } = await slurm.inTime("the beginning", whenBegun);
  assert.deepEqual({ pid, name }, { pid: 4711, name: "d1" });
  node.end(3);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "exited");
  assert.equal(ending.exitCode, 3);
});

Deno.test("SlurmExecutor: Slurm is asked while there is a job, and not while there is none", async () => {
  await using slurm = await FakeSlurm.open();
  await slurm.pass(5000);
  assert.deepEqual(slurm.callsOf("squeue"), []);
  const { node, ended } = await begun(slurm);
  const before = slurm.callsOf("squeue").length;
  await slurm.pass(5000);
  const asked = slurm.callsOf("squeue").length - before;
  assert(asked >= 2 && asked <= 6, `${asked} in 5 seconds`);
  node.end(0);
  await slurm.inTime("the end", ended);
  await slurm.pass(2000);
  const after = slurm.callsOf("squeue").length;
  await slurm.pass(5000);
  assert.equal(slurm.callsOf("squeue").length, after);
});

Deno.test("SlurmExecutor: a node's refusal ends the job as one that never ran, in the words of one host", async () => {
  await using slurm = await FakeSlurm.open();
  const { node, ended, whenBegun } = await submitted(slurm);
  node.launch();
  node.write("refused not-found\nend\n");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /^Cannot start "true": no such program on the server/);
  assert.equal(await isSettled(whenBegun), false);
});

Deno.test("SlurmExecutor: a refusal that is half written is not believed", async () => {
  await using slurm = await FakeSlurm.open();
  const { node, ended } = await submitted(slurm);
  node.launch();
  node.write("refused not-fo");
  await slurm.pass(3000);
  node.write("und\n");
  await slurm.pass(3000);
  assert.equal(await isSettled(ended), false);
  node.write("end\n");
  const ending = await slurm.inTime("the end", ended);
  assert.equal(ending.kind, "never-ran");
});

Deno.test("SlurmExecutor: an end is told when the whole output can be read here", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { output }, node, ended } = await begun(slurm);
  await Deno.writeTextFile(output, "half");
  node.end(0, "output 8\n");
  await slurm.pass(10_000);
  assert.equal(await isSettled(ended), false);
  await Deno.writeTextFile(output, "half all");
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: an output that never becomes whole does not keep the end back for ever", async () => {
  await using slurm = await FakeSlurm.open();
  using log = new CapturedLog();
  const { node, ended } = await begun(slurm);
  node.end(0, "output 8\n");
  await slurm.pass(100_000);
  await slurm.inTime("the end", ended);
  assert.match(log.messages("error").join(), /has not become visible/);
});

Deno.test("SlurmExecutor: a job that was stopped by its timeout says so", async () => {
  await using slurm = await FakeSlurm.open();
  const { node, ended } = await begun(slurm);
  node.end(143, "Terminated\ntimed-out\n");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "exited");
  assert.deepEqual([ending.exitCode, ending.signal, ending.timedOut], [143, 15, true]);
});

Deno.test("SlurmExecutor: while Slurm cannot be asked no state changes, whatever it says", async () => {
  await using slurm = await FakeSlurm.open();
  using log = new CapturedLog();
  const waiting = await submitted(slurm);
  const running = await begun(slurm);
  const asOf = () => slurm.executor.statuses([waiting.request.jobId])[0]?.asOfMs;
  const lastAsOf = asOf();
  for (const answer of [AWAY, { status: 137, text: "" }, { status: 1, text: "" }]) {
    slurm.failures.set("squeue", answer);
    await slurm.pass(60_000);
  }
  assert.equal(await isSettled(waiting.ended), false);
  assert.equal(await isSettled(running.ended), false);
  assert.equal(asOf(), lastAsOf, "the answer is as old as it is");
  assert.equal(log.messages("warn").length, 1, "said once");
  // The end is on record, and needs no controller.
  running.node.end(0);
  await slurm.inTime("the end", running.ended);
  waiting.node.begin();
  await slurm.inTime("the beginning", waiting.whenBegun);
});

Deno.test("SlurmExecutor: a node that failed takes its job with it, after a time for its last words", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { jobId }, ended } = await begun(slurm);
  slurm.say(jobId, "NODE_FAIL");
  await slurm.pass(10_000);
  assert.equal(await isSettled(ended), false);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /^node d1 failed while the job ran/);
});

Deno.test("SlurmExecutor: the last words of a node count, also where Slurm has given it up", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { jobId }, ended, node } = await begun(slurm);
  slurm.say(jobId, "NODE_FAIL");
  await slurm.pass(10_000);
  node.end(7);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "exited");
  assert.equal(ending.exitCode, 7);
});

Deno.test("SlurmExecutor: a job that Slurm does not have any more is lost after a while, and not if it comes back", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { jobId }, ended } = await begun(slurm);
  const job = slurm.jobs.get(jobId);
  assert(job);
  slurm.jobs.delete(jobId);
  await slurm.pass(10_000);
  // The controller has been told of it by the node.
  slurm.jobs.set(jobId, job);
  await slurm.pass(20_000);
  assert.equal(await isSettled(ended), false);
  slurm.jobs.delete(jobId);
  await slurm.pass(10_000);
  assert.equal(await isSettled(ended), false);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /^Slurm does not have the job any more/);
});

Deno.test("SlurmExecutor: a job that Slurm has lost before it began cannot begin later", async () => {
  await using slurm = await FakeSlurm.open();
  const { request: { jobId }, ended, node } = await submitted(slurm);
  await slurm.pass(2000);
  slurm.jobs.delete(jobId);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /lost it before its command began/);
  assert.equal(node.launch(), false, "a launcher that comes late would run it");
});

for (const state of ["FAILED", "CANCELLED", "NODE_FAIL", "BOOT_FAIL"]) {
  Deno.test(`SlurmExecutor: a job that is ${state} without a launch record never ran, and never will`, async () => {
    await using slurm = await FakeSlurm.open();
    const { request: { jobId }, ended, node } = await submitted(slurm);
    slurm.say(jobId, state);
    const ending = await slurm.inTime("the end", ended);
    assert(ending.kind === "never-ran");
    assert.match(ending.reason, new RegExp(state));
    assert.equal(node.launch(), false);
  });
}

Deno.test("SlurmExecutor: where the host does not know its own user for a while, no job is missing", async () => {
  await using slurm = await FakeSlurm.open();
  using log = new CapturedLog();
  const { ended } = await submitted(slurm);
  let isOver = false;
  void ended.then(() => isOver = true);
  slurm.failures.set("squeue", { status: 0, text: "squeue: error: Invalid user: 0\n" });
  await slurm.pass(120_000);
  assert(!isOver);
  assert.equal(log.messages("warn").filter((text) => /cannot ask Slurm/.test(text)).length, 1);
});

Deno.test("TrackedJob: an answer without news makes nobody look, however many jobs there are", async () => {
  const clock = new FakeClock();
  const jobId = crypto.randomUUID();
  let looks = 0;
  const job = new TrackedJob(
    {
      jobId,
      owner: "alice",
      folder: "/tmp/job-worker-no-such-folder",
      nodeFolder: "/tmp/job-worker-no-such-folder",
      command: { name: "true", args: [] },
      settings: DEFAULT_SETTINGS,
    },
    {
      takenAtMs: clock.nowMs(),
      parts: {
        clock,
        answer: () => undefined,
        count: () => 1000,
        withdraw: () => Promise.resolve(false),
        takeTurn: () => {
          looks++;
          return Promise.resolve({ [Symbol.dispose]() {} });
        },
        cancelLater: () => {},
        onEnd: () => {},
      },
    },
  );
  const hear = async (state: string) => {
    const text = `1|0|${state}|None|d1|N/A|main|${jobId} \n`;
    job.hear(parseQueue(text, clock.nowMs(), () => 0));
    for (let time = 0; time < 20; time++) await Deno.stat("/");
    await turn();
    return looks;
  };
  void job.watch();
  await hear("PENDING");
  const before = await hear("PENDING");
  assert.equal(await hear("PENDING"), before);
  const after = await hear("RUNNING");
  assert.equal(after, before + 1);
  assert.equal(await hear("RUNNING"), after);
  job.close();
});
