import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { CommandAnswer } from "../../lib/executor/slurm/commands.ts";
import {
  type KeptSubmission,
  parseKeptSubmission,
} from "../../lib/executor/slurm/kept_submission.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { AWAY, begun, FakeNode, FakeSlurm } from "../support/fake_slurm.ts";
import { assertJobError } from "../support/job_errors.ts";

/** What sbatch has said when it is ended, since it would wait itself. */
const FULL: CommandAnswer = {
  status: 143,
  text: "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n",
};

const TIMED_OUT: CommandAnswer = {
  status: 1,
  text: "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
};

/** A job that Slurm does not take. */
async function waiting(slurm: FakeSlurm, failure: CommandAnswer) {
  slurm.failures.set("sbatch", failure);
  const request = await slurm.request();
  const { ended } = await slurm.inTime("the start", slurm.executor.submit(request));
  return { request, ended, reason: () => reasonOf(slurm, request.jobId) };
}

/** The same where the controller is away. */
async function unreached(slurm: FakeSlurm) {
  slurm.failures.set("squeue", AWAY);
  return await waiting(slurm, AWAY);
}

function reasonOf(slurm: FakeSlurm, jobId: string): string {
  return slurm.executor.statuses([jobId])[0]?.pendingReason ?? "";
}

function tries(slurm: FakeSlurm): number {
  return slurm.callsOf("sbatch").length;
}

async function isKept({ folder }: { readonly folder: string }): Promise<boolean> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  return names.includes("submission");
}

Deno.test("SlurmExecutor: a start that has not reached the controller waits, and is handed over once when it answers", async () => {
  await using slurm = await FakeSlurm.open();
  using log = new CapturedLog();
  const { request, ended, reason } = await unreached(slurm);
  assert.match(reason(), /not taken it yet \(.*connect failure\)\); .*\(tries: 1\)$/);
  await slurm.pass(60_000);
  assert.equal(tries(slurm), 1, "a controller that is away is asked again and again");
  slurm.failures.clear();
  await slurm.until("the job in the queue", () => slurm.jobs.has(request.jobId));
  await slurm.until("Slurm's own reason", () => reason() === "Priority");
  assert.equal(tries(slurm), 2);
  assert.match(log.texts.join(""), /handed over to Slurm again/);
  const node = new FakeNode(request);
  node.begin();
  node.end(3);
  assert.equal((await slurm.inTime("the end", ended)).kind, "exited");
  await slurm.until("nothing to be kept", async () => !await isKept(request));
});

Deno.test("SlurmExecutor: a start waits while Slurm's queue is full, with the reason, and is tried less and less often", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, reason } = await waiting(slurm, FULL);
  assert.match(reason(), /not taken it yet \(Slurm temporarily unable to accept job\)/);
  await slurm.pass(300_000);
  // After 2, 4, 8, 16, 32 and then each 60 seconds.
  assert(tries(slurm) >= 6 && tries(slurm) <= 11, `${tries(slurm)} tries`);
  slurm.failures.clear();
  await slurm.until("the job in the queue", () => slurm.jobs.has(request.jobId));
  await slurm.until("Slurm's own reason", () => reason() === "Priority");
});

Deno.test("SlurmExecutor: of many starts that wait for a full queue one is tried, and the rest follow at once, the oldest first", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const jobs = [];
  for (let index = 0; index < 20; index++) jobs.push(await waiting(slurm, FULL));
  await slurm.pass(20_000);
  assert(tries(slurm) < 30, `${tries(slurm)} tries`);
  slurm.failures.clear();
  await slurm.until("all in the queue", () => slurm.jobs.size === jobs.length, 1000);
  assert.deepEqual([...slurm.jobs.keys()], jobs.map(({ request }) => request.jobId));
});

Deno.test("SlurmExecutor: a start that Slurm takes ends the pause of those that wait", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request } = await waiting(slurm, FULL);
  await slurm.pass(120_000);
  slurm.failures.clear();
  await slurm.executor.submit(await slurm.request());
  await slurm.until("both", () => slurm.jobs.has(request.jobId), 1);
});

Deno.test("SlurmExecutor: what Slurm has taken all the same is found by its name, and not handed over again", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, reason } = await waiting(slurm, TIMED_OUT);
  assert.match(reason(), /Socket timed out/);
  // The controller carries it out late.
  slurm.jobs.set(request.jobId, { number: 9, state: "PENDING", reason: "Priority", node: "" });
  slurm.failures.clear();
  await slurm.until("Slurm's own reason", () => reason() === "Priority");
  await slurm.pass(60_000);
  assert.equal(tries(slurm), 1);
  assert.equal(await isKept(request), false);
});

Deno.test("SlurmExecutor: what a launcher has begun is not handed over again", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await unreached(slurm);
  const node = new FakeNode(request);
  node.begin();
  slurm.failures.clear();
  await slurm.pass(10_000);
  assert.equal(tries(slurm), 1);
  node.end(4);
  assert.equal((await slurm.inTime("the end", ended)).kind, "exited");
});

Deno.test("SlurmExecutor: a start that waits is given up after ten minutes, and cannot run then", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const away = await unreached(slurm);
  await slurm.pass(600_000);
  const ending = await slurm.inTime("the end", away.ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /Slurm has not taken it for 10 minutes: .*connect failure/);
  assert.equal(new FakeNode(away.request).launch(), false);
  assert.equal(await isKept(away.request), false);
});

Deno.test("SlurmExecutor: what may have been taken each time is handed over five times at most, and what is left of it is taken away", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await waiting(slurm, TIMED_OUT);
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /has not taken it in 5 tries: .*Socket timed out/);
  assert.equal(tries(slurm), 5);
  slurm.jobs.set(request.jobId, { number: 9, state: "PENDING", reason: "Priority", node: "" });
  await slurm.until("the cancel", () => slurm.jobs.get(request.jobId)?.state === "CANCELLED");
});

Deno.test("SlurmExecutor: a second one in Slurm's queue is taken away when the job has run", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await waiting(slurm, TIMED_OUT);
  slurm.failures.clear();
  await slurm.until("the job in the queue", () => slurm.jobs.has(request.jobId));
  const node = new FakeNode(request);
  node.begin();
  node.end(0);
  await slurm.inTime("the end", ended);
  slurm.jobs.set(request.jobId, { number: 9, state: "PENDING", reason: "Priority", node: "" });
  await slurm.until("the cancel", () => slurm.jobs.get(request.jobId)?.state === "CANCELLED");
});

Deno.test("SlurmExecutor: a start that waits is refused when Slurm refuses it", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { ended } = await waiting(slurm, FULL);
  slurm.failures.set("sbatch", {
    status: 1,
    text: "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
  });
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /Slurm refused it: Invalid partition name/);
});

Deno.test("SlurmExecutor: a start that waits is handed over after no job that Slurm has forgotten, or another's with its number", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const [first, second] = [await begun(slurm), await begun(slurm)];
  const afterJob = async ({ jobId }: { readonly jobId: string }) => {
    const settings = { ...DEFAULT_SETTINGS, queue: { after: [jobId] } };
    const request = await slurm.request({ settings, after: [jobId] });
    return { request, ...await slurm.inTime("a start", slurm.executor.submit(request)) };
  };
  slurm.failures.set("squeue", AWAY);
  slurm.failures.set("sbatch", AWAY);
  const [afterFirst, afterSecond] = [
    await afterJob(first.request),
    await afterJob(second.request),
  ];
  // The controller has lost what it knew, and counts anew.
  slurm.jobs.delete(first.request.jobId);
  slurm.jobs.set(crypto.randomUUID(), { number: 1, state: "RUNNING", reason: "", node: "d1" });
  slurm.failures.clear();
  const ending = await slurm.inTime("the end", afterFirst.ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /does not have a job any more that it was to begin after/);
  await slurm.until("the other", () => slurm.jobs.has(afterSecond.request.jobId));
  assert.match(slurm.callsOf("sbatch").at(-1) ?? "", /--dependency=afterok:2$/);
});

Deno.test("SlurmExecutor: what is unclear does not wait, and nothing runs", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  slurm.failures.set("sbatch", { status: 127, text: "timeout: failed to run command\n" });
  const request = await slurm.request();
  await assertJobError(
    slurm.inTime("the start", slurm.executor.submit(request)),
    "unavailable",
    /failed to run command.*nothing was started/,
  );
  assert.equal(new FakeNode(request).launch(), false);
});

Deno.test("SlurmExecutor: a start that waits is stopped, and not handed over then", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await unreached(slurm);
  const stopped = slurm.executor.stop(request, { signal: "TERM", killAtMs: 0 });
  assert.equal((await slurm.inTime("the end", ended)).kind, "never-ran");
  await slurm.inTime("the stop", stopped);
  slurm.failures.clear();
  await slurm.pass(60_000);
  assert.equal(tries(slurm), 1);
  assert.equal(await isKept(request), false);
});

Deno.test("SlurmExecutor: a later server hands over what waits, as it was, and once", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request } = await waiting(slurm, FULL);
  const [first] = slurm.callsOf("sbatch");
  await slurm.restart();
  const adoptions = await slurm.executor.adopt([slurm.adoption(request, "pending")]);
  assert.equal(adoptions.get(request.jobId)?.kind, "tracked");
  assert.match(reasonOf(slurm, request.jobId), /waited when the server ended/);
  await slurm.pass(20_000);
  assert(!slurm.jobs.has(request.jobId));
  slurm.failures.clear();
  await slurm.until("the job in the queue", () => slurm.jobs.has(request.jobId));
  const { length } = slurm.callsOf("sbatch");
  assert.equal(slurm.callsOf("sbatch").at(-1), first);
  await slurm.pass(60_000);
  assert.equal(slurm.callsOf("sbatch").length, length);
  assert.equal(await isKept(request), false);
});

Deno.test("SlurmExecutor: a later server does not hand over what Slurm had taken when the server before it ended", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const jobs = [await waiting(slurm, FULL), await waiting(slurm, FULL)];
  const [queued, over] = jobs.map(({ request }) => request);
  assert(queued && over);
  await slurm.restart();
  slurm.failures.clear();
  slurm.jobs.set(queued.jobId, { number: 9, state: "RUNNING", reason: "None", node: "d1" });
  const node = new FakeNode(over);
  node.begin();
  node.end(6);
  const { length } = slurm.callsOf("sbatch");
  const adoptions = await slurm.executor.adopt(
    jobs.map(({ request }) => slurm.adoption(request, "pending")),
  );
  const adoption = adoptions.get(over.jobId);
  assert(adoption?.kind === "tracked");
  assert.equal((await slurm.inTime("the end", adoption.ended)).kind, "exited");
  await slurm.pass(60_000);
  assert.equal(slurm.callsOf("sbatch").length, length);
  for (const request of [queued, over]) assert.equal(await isKept(request), false);
});

Deno.test("SlurmExecutor: what waits is kept for the server alone, and what is forged there is not handed over", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  const { request, ended } = await waiting(slurm, FULL);
  const file = join(request.folder, "submission");
  assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
  await Deno.writeTextFile(file, "[]");
  slurm.failures.clear();
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /gone from the job's folder/);
  await slurm.until("nothing to be kept", async () => !await isKept(request));
  assert.equal(tries(slurm), 1);
});

Deno.test("parseKeptSubmission: takes what a server has written, and nothing else", () => {
  const kept: KeptSubmission = { args: ["--parsable"], script: "#!/bin/sh\n" };
  assert.deepEqual(parseKeptSubmission(JSON.stringify(kept)), kept);
  for (const text of ["", "{", "null", "7", '{"args":["a"]}', '{"args":[7],"script":""}']) {
    assert.equal(parseKeptSubmission(text), undefined, text);
  }
});
