import { strict as assert } from "node:assert";
import { join } from "node:path";
import { SECRET_FILES } from "../../lib/executor/slurm/batch.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { AWAY, begun, FakeNode, FakeSlurm } from "../support/fake_slurm.ts";
import { assertJobError } from "../support/job_errors.ts";

Deno.test("SlurmExecutor: a job whose predecessor has failed is taken out of the queue", async () => {
  await using slurm = await FakeSlurm.open();
  const first = await begun(slurm);
  const request = await slurm.request({ after: [first.request.jobId] });
  const { ended } = await slurm.executor.submit(request);
  assert.match(slurm.callsOf("sbatch")[1] ?? "", /--dependency=afterok:1$/);
  slurm.say(request.jobId, "PENDING", { reason: "DependencyNeverSatisfied" });
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "never-ran");
  assert.match(ending.reason, /has not succeeded/);
  await slurm.until("the cancel", () => slurm.jobs.get(request.jobId)?.state === "CANCELLED");
});

Deno.test("SlurmExecutor: what Slurm refuses is told in its words, and cannot run", async () => {
  await using slurm = await FakeSlurm.open();
  slurm.failures.set("sbatch", {
    status: 1,
    text: "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
  });
  const request = await slurm.request();
  await assertJobError(
    slurm.executor.submit(request),
    "invalid",
    /Slurm refused it: Invalid partition name specified$/,
  );
  assert.equal(new FakeNode(request).launch(), false);
});

Deno.test("SlurmExecutor: an sbatch whose answer is lost has handed over one job, which is found by its name", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  slurm.lostAnswer = {
    status: 1,
    text: "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
  };
  const request = await slurm.request();
  const { engineJob, whenBegun } = await slurm.inTime("the start", slurm.executor.submit(request));
  assert.equal(engineJob, "1");
  assert.equal(slurm.callsOf("sbatch").length, 1);
  new FakeNode(request).begin();
  await slurm.inTime("the beginning", whenBegun);
});

Deno.test("SlurmExecutor: an sbatch that nobody heard starts nothing, also if it is carried out later", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  slurm.failures.set("sbatch", { status: 137, text: "" });
  slurm.failures.set("squeue", AWAY);
  slurm.failures.set("scancel", AWAY);
  const request = await slurm.request();
  await assertJobError(
    slurm.inTime("the start", slurm.executor.submit(request)),
    "unavailable",
    /has not taken it \(it does not answer\); nothing was started/,
  );
  assert.equal(new FakeNode(request).launch(), false);
  // The controller goes on, and does what it was told.
  slurm.failures.clear();
  slurm.jobs.set(request.jobId, { number: 9, state: "PENDING", reason: "Priority", node: "" });
  await slurm.until("the cancel", () => slurm.jobs.get(request.jobId)?.state === "CANCELLED");
});

Deno.test("SlurmExecutor: an sbatch that failed, and whose job has begun, has started it", async () => {
  await using slurm = await FakeSlurm.open();
  using _log = new CapturedLog();
  slurm.failures.set("sbatch", AWAY);
  slurm.failures.set("squeue", AWAY);
  const request = await slurm.request();
  new FakeNode(request).begin();
  const { whenBegun } = await slurm.inTime("the start", slurm.executor.submit(request));
  await slurm.inTime("the beginning", whenBegun);
});

Deno.test("SlurmExecutor: what a job is given and has not read is removed where it never ran", async () => {
  await using slurm = await FakeSlurm.open();
  const request = await slurm.request({
    secrets: { environment: { TOKEN: "secret" }, input: new TextEncoder().encode("more") },
  });
  const { ended } = await slurm.executor.submit(request);
  for (const name of SECRET_FILES) {
    const { mode } = await Deno.stat(join(request.folder, name));
    assert.equal((mode ?? 0) & 0o077, 0, name);
  }
  assert(!slurm.calls.join().includes("secret"));
  await slurm.executor.stop(request, { signal: "TERM", killAtMs: 0 });
  await ended;
  await slurm.until("their removal", async () => {
    const names = (await Array.fromAsync(Deno.readDir(request.folder))).map(({ name }) => name);
    return SECRET_FILES.every((name) => !names.includes(name));
  });
});
