/** The executor of a cluster, on a cluster where nothing fails but servers: also one that is there already. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import { Job } from "../conformance/site.ts";
import type { ClusterSite } from "../support/cluster/cluster_site.ts";
import { isGivenSite, openSite, whyNoSite } from "../support/cluster/given_site.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

/** As many as a user's array would have; few where others wait for the same nodes. */
const MANY_JOBS = isGivenSite ? 20 : 200;

/** A job that asks for it waits. */
const IN_AN_HOUR = { beginAtMs: Date.now() + 3_600_000 };

const reason = await whyNoSite();
let site: ClusterSite;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    // Processors are only pretended, so that many jobs run at once.
    site = await openSite({ parameters: { NodeCPUs: "8" } });
  });
  Deno.test.afterAll(() => site[Symbol.asyncDispose]());
}

function test(name: string, fn: () => Promise<void>): void {
  // A server that is killed leaves scripts behind, which end by themselves: so does an executor.
  testUnless(reason, {
    name: `engine: ${name}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

/** Appends a line to a file, as one write. */
function witness(file: string, line: string): string {
  return `echo ${line} >>${file}`;
}

async function linesOf(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("\n").filter(Boolean);
}

/** Waits until Slurm has done with jobs. */
async function untilLeft(jobs: readonly Job[]): Promise<void> {
  await until("Slurm to have done with the jobs", async () => {
    const { stdout } = await site.run(["squeue", "--noheader", "--format=%j"]);
    return jobs.every(({ id }) => !stdout.includes(id));
  });
}

test(`${MANY_JOBS} jobs run once each, with the right code and output, and nothing is left`, async () => {
  const file = join(site.sharedFolder, "many");
  const indices = Array.from({ length: MANY_JOBS }, (_, index) => index);
  const beganMs = performance.now();
  const jobs = await Promise.all(
    indices.map((index) =>
      Job.script(site, `${witness(file, String(index))}; echo "$WORD"; exit ${index % 100}`, {
        environment: { WORD: `word ${index}` },
      })
    ),
  );
  const submittedMs = performance.now() - beganMs;
  for (const [index, job] of jobs.entries()) {
    assert.equal((await job.exited()).exitCode, index % 100);
    assert.equal(await job.output(), `word ${index}\n`);
    assert.match((await job.begun()).node ?? "", /^[\w.-]+$/);
  }
  const endedMs = performance.now() - beganMs;
  assert.deepEqual((await linesOf(file)).map(Number).sort((a, b) => a - b), indices);
  await untilLeft(jobs);
  const groups = await run("find", ["/sys/fs/cgroup", "-name", "job-worker-[0-9]*-*"]);
  const ours = groups.stdout.split("\n").filter((path) => jobs.some(({ id }) => path.endsWith(id)));
  assert.deepEqual(ours, []);
  console.log(
    `${MANY_JOBS} jobs: handed over after ${Math.round(submittedMs)} ms, ended after ` +
      `${Math.round(endedMs)} ms`,
  );
});

test("stops by the job's signal and then by SIGKILL, also what is in sessions of its own", async () => {
  const [polite, rude, waiting] = await Promise.all([
    Job.script(site, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"),
    Job.script(site, "trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 0.05; done"),
    Job.script(site, "echo ran", { settings: { queue: IN_AN_HOUR } }),
  ]);
  for (const job of [polite, rude]) {
    await job.begun();
    await until("its output", async () => await job.output() === "ready\n");
  }
  assert.equal(await rude.signal("WINCH"), true);
  await Promise.all([polite.stop(60_000), rude.stop(500), waiting.stop(60_000)]);
  assert.equal((await polite.exited()).exitCode, 7);
  assert.equal((await rude.exited()).signal, 9);
  assert.equal((await waiting.ended()).kind, "never-ran");
  assert.equal(await waiting.output(), "");
  await untilLeft([polite, rude, waiting]);
});

test("tells why a job waits, and refuses as a host without a cluster where the node finds nothing", async () => {
  const later = await Job.script(site, "echo ran", {
    settings: { queue: IN_AN_HOUR },
  });
  const absent = await Job.submit(site, ["no-such-program"]);
  const ending = await absent.ended();
  assert(ending.kind === "never-ran", JSON.stringify(ending));
  assert.match(ending.reason, /"no-such-program": no such program/);
  const status = await until("why it waits", () => {
    const [one] = site.executor.statuses([later.id]);
    return one?.pendingReason !== undefined && one;
  });
  assert.equal(status.engineState, "PENDING");
  assert.equal(status.pendingReason, "BeginTime");
  assert.equal(status.engineJob, later.tracked?.engineJob);
  await later.stop(0);
  await later.ended();
});

test("a server that is killed during sbatch, and after it, leaves exactly one job or none", async () => {
  const file = join(site.sharedFolder, "during");
  for (const delayMs of [0, 15, 40, 120]) {
    const text = `${witness(file, String(delayMs))}; sleep 1`;
    const job = await Job.make(site, ["/bin/sh", "-c", text]);
    // The first server's sbatch goes on: the controller knows nothing of servers.
    const submitted = site.executor.submit(job.request).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await site.restart();
    const { kind } = await job.adopt("starting");
    await submitted;
    if (kind === "tracked") assert.equal((await job.exited()).exitCode, 0);
    else assert.equal(kind, "never-started");
    await untilLeft([job]);
    const runs = (await linesOf(file)).filter((line) => line === String(delayMs));
    assert.equal(runs.length, kind === "tracked" ? 1 : 0, `after ${delayMs} ms`);
  }
});

test("a server that is killed while jobs wait, run and end finds each as it is", async () => {
  const gate = join(site.sharedFolder, "gate");
  const [waiting, running, ended] = await Promise.all([
    Job.script(site, "echo ran", { settings: { queue: IN_AN_HOUR } }),
    Job.script(site, `until [ -e ${gate} ]; do sleep 0.05; done; exit 5`),
    Job.script(site, "echo done; exit 6"),
  ]);
  await running.begun();
  await ended.ended();
  await site.restart();
  for (
    const [job, phase] of [[waiting, "pending"], [running, "pending"], [ended, "begun"]] as const
  ) {
    assert.equal((await job.adopt(phase)).kind, "tracked");
  }
  assert.equal((await ended.exited()).exitCode, 6);
  assert.match((await running.begun()).node ?? "", /^[\w.-]+$/);
  await Deno.writeTextFile(gate, "");
  assert.equal((await running.exited()).exitCode, 5);
  await waiting.stop(0);
  assert.equal((await waiting.ended()).kind, "never-ran");
});

test("a start that Slurm refuses says so at once", async () => {
  const queue = { partition: "no-such-partition" };
  await assert.rejects(
    Job.script(site, "echo ran", { settings: { queue } }),
    (error) =>
      error instanceof JobError && error.kind === "invalid" && /partition/.test(error.message),
  );
});
