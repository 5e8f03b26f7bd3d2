/** The executor of a cluster, on a cluster where nothing fails but servers. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import { SlurmExecutor } from "../../lib/executor/slurm.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import {
  endingOf,
  EngineHost,
  type EngineJob,
  exitOf,
  trackedIn,
} from "../support/cluster/engine_host.ts";
import { whyNoCluster } from "../support/cluster/possible.ts";
import { StaleShare } from "../support/cluster/stale_share.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";
import { inTime, until } from "../support/wait.ts";

/** As many as a user's array would have. */
const MANY_JOBS = 200;

/** A job that asks for it waits. */
const IN_AN_HOUR = { beginAtMs: Date.now() + 3_600_000 };

const reason = await whyNoCluster();
let cluster: Cluster;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    // Processors are only pretended, so that many jobs run at once.
    cluster = await Cluster.start({ parameters: { NodeCPUs: "8" } });
  });
  Deno.test.afterAll(() => cluster[Symbol.asyncDispose]());
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

/** Jobs that Slurm has not done with, by their names. */
async function queued(): Promise<string[]> {
  const { stdout } = await cluster.run(["squeue", "--noheader", "--format=%j"]);
  return stdout.split("\n").filter(Boolean);
}

test(`${MANY_JOBS} jobs run once each, with the right code and output, and nothing is left`, async () => {
  await using host = await EngineHost.open(cluster);
  const file = join(cluster.folder, "many");
  const indices = Array.from({ length: MANY_JOBS }, (_, index) => index);
  const beganMs = performance.now();
  const jobs = await Promise.all(
    indices.map((index) =>
      host.run(`${witness(file, String(index))}; echo "$WORD"; exit ${index % 100}`, {
        environment: { WORD: `word ${index}` },
      })
    ),
  );
  const submittedMs = performance.now() - beganMs;
  for (const [index, job] of jobs.entries()) {
    assert.equal((await exitOf(job)).exitCode, index % 100);
    assert.equal(await host.output(job), `word ${index}\n`);
    assert.match((await job.whenBegun).node ?? "", /^jw\d+n[12]$/);
  }
  const endedMs = performance.now() - beganMs;
  assert.deepEqual((await linesOf(file)).map(Number).sort((a, b) => a - b), indices);
  await until("Slurm to have done with them", async () => (await queued()).length === 0);
  const groups = await run("find", ["/sys/fs/cgroup", "-name", "job-worker-[0-9]*-*"]);
  const ours = groups.stdout.split("\n").filter((path) =>
    jobs.some(({ request }) => path.endsWith(request.jobId))
  );
  assert.deepEqual(ours, []);
  console.log(
    `${MANY_JOBS} jobs: handed over after ${Math.round(submittedMs)} ms, ended after ` +
      `${Math.round(endedMs)} ms`,
  );
});

test("stops by the job's signal and then by SIGKILL, also what is in sessions of its own", async () => {
  await using host = await EngineHost.open(cluster);
  const [polite, rude, waiting] = await Promise.all([
    host.run("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"),
    host.run("trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 0.05; done"),
    host.run("echo ran", { settings: { queue: IN_AN_HOUR } }),
  ]);
  for (const job of [polite, rude]) {
    await job.whenBegun;
    await until("its output", async () => await host.output(job) === "ready\n");
  }
  assert.equal(await host.executor.signal(rude.request, "WINCH"), true);
  const stop = ({ request }: EngineJob, graceMs: number) =>
    host.executor.stop(request, { signal: "TERM", killAtMs: Date.now() + graceMs });
  await Promise.all([stop(polite, 60_000), stop(rude, 500), stop(waiting, 60_000)]);
  assert.equal((await exitOf(polite)).exitCode, 7);
  assert.equal((await exitOf(rude)).signal, 9);
  assert.equal((await endingOf(waiting)).kind, "never-ran");
  assert.equal(await host.output(waiting), "");
  await until("Slurm to have done with them", async () => (await queued()).length === 0);
});

test("tells why a job waits, and refuses as a host without a cluster where the node finds nothing", async () => {
  await using host = await EngineHost.open(cluster);
  const later = await host.run("echo ran", {
    settings: { queue: IN_AN_HOUR },
  });
  const absent = await host.submit(["no-such-program"]);
  const ending = await endingOf(absent);
  assert(ending.kind === "never-ran", JSON.stringify(ending));
  assert.match(ending.reason, /"no-such-program": no such program/);
  const status = await until("why it waits", () => {
    const [one] = host.executor.statuses([later.request.jobId]);
    return one?.pendingReason !== undefined && one;
  });
  assert.equal(status.engineState, "PENDING");
  assert.equal(status.pendingReason, "BeginTime");
  assert.equal(status.engineJob, later.number);
  await host.executor.stop(later.request, { signal: "TERM", killAtMs: Date.now() });
  await endingOf(later);
});

test("a server that is killed during sbatch, and after it, leaves exactly one job or none", async () => {
  await using host = await EngineHost.open(cluster);
  const file = join(cluster.folder, "during");
  for (const delayMs of [0, 15, 40, 120]) {
    const request = await host.prepare([
      "/bin/sh",
      "-c",
      `${witness(file, String(delayMs))}; sleep 1`,
    ]);
    // The first server's sbatch goes on: the controller knows nothing of servers.
    const submitted = host.executor.submit(request).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const [adoption] = await host.restart([{ request, phase: "starting" }]);
    await submitted;
    if (adoption?.kind === "tracked") {
      assert.equal((await exitOf(adoption)).exitCode, 0);
    } else {
      assert.equal(adoption?.kind, "never-started");
    }
    await until("Slurm to have done with it", async () => (await queued()).length === 0);
    const runs = (await linesOf(file)).filter((line) => line === String(delayMs));
    assert.equal(runs.length, adoption?.kind === "tracked" ? 1 : 0, `after ${delayMs} ms`);
  }
});

test("a server that is killed while jobs wait, run and end finds each as it is", async () => {
  await using host = await EngineHost.open(cluster);
  const gate = join(cluster.folder, "gate");
  const [waiting, running, ended] = await Promise.all([
    host.run("echo ran", { settings: { queue: IN_AN_HOUR } }),
    host.run(`until [ -e ${gate} ]; do sleep 0.05; done; exit 5`),
    host.run("echo done; exit 6"),
  ]);
  await running.whenBegun;
  await endingOf(ended);
  const adoptions = await host.restart([
    { ...waiting, phase: "pending" },
    { ...running, phase: "pending" },
    { ...ended, phase: "begun" },
  ]);
  const [stillWaiting, stillRunning, hasEnded] = adoptions.map(trackedIn);
  assert(stillWaiting && stillRunning && hasEnded);
  assert.equal((await exitOf(hasEnded)).exitCode, 6);
  assert.match((await inTime("its begin", stillRunning.whenBegun)).node ?? "", /^jw/);
  await Deno.writeTextFile(gate, "");
  assert.equal((await exitOf(stillRunning)).exitCode, 5);
  await host.executor.stop(waiting.request, { signal: "TERM", killAtMs: Date.now() });
  assert.equal((await endingOf(stillWaiting)).kind, "never-ran");
});

test("slurmd that restarts loses no end of a job", async () => {
  await using host = await EngineHost.open(cluster);
  const gates = [0, 1].map((index) => join(cluster.folder, `slurmd-gate-${index}`));
  const jobs = await Promise.all(
    gates.map((gate, index) =>
      host.run(`until [ -e ${gate} ]; do sleep 0.05; done; exit ${index + 3}`)
    ),
  );
  const [one, other] = await Promise.all(jobs.map((job) => job.whenBegun));
  assert(one && other);
  const nodes = new Set([one.node ?? "", other.node ?? ""]);
  for (const name of nodes) await cluster.nodeNamed(name).killSlurmd();
  await Deno.writeTextFile(gates[0] ?? "", "");
  assert(jobs[0] && jobs[1]);
  assert.equal((await exitOf(jobs[0])).exitCode, 3);
  for (const name of nodes) await cluster.nodeNamed(name).startSlurmd();
  await Deno.writeTextFile(gates[1] ?? "", "");
  assert.equal((await exitOf(jobs[1])).exitCode, 4);
  await cluster.untilReady();
});

test("through a share whose attributes are cached, an end is told with the whole output", async () => {
  await using share = await StaleShare.make(join(cluster.folder, "stale"));
  await using host = await EngineHost.open(cluster, "stale");
  assert.equal(host.sharedFolder, share.folder);
  const jobs = await Promise.all(
    [1, 2, 3].map((index) =>
      host.run(
        `i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done; exit ${index}`,
      )
    ),
  );
  const polite = await host.run("trap 'exit 9' TERM; while :; do sleep 0.05; done");
  for (const [index, job] of jobs.entries()) {
    assert.equal((await exitOf(job)).exitCode, index + 1);
    assert.equal((await host.output(job)).split("\n").length, 21);
  }
  await polite.whenBegun;
  await host.executor.stop(polite.request, { signal: "TERM", killAtMs: Date.now() + 60_000 });
  assert.equal((await exitOf(polite)).exitCode, 9);
});

test("a site whose jobs' processes outlive them is refused, with what to do", async () => {
  await using lax = await Cluster.start({
    nodes: 1,
    parameters: { ProctrackType: "proctrack/linuxproc", TaskPlugin: "task/none" },
  });
  const sharedFolder = join(lax.folder, "share");
  await Deno.mkdir(sharedFolder);
  await assert.rejects(
    SlurmExecutor.open({ sharedFolder, owner: "test", configurationFile: lax.confFile }),
    /set ProctrackType=proctrack\/cgroup in slurm\.conf/,
  );
});

test("a node whose Prolog fails runs nothing, and the job is told as one that never ran", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-prolog-" });
  try {
    const prolog = join(folder, "prolog");
    await Deno.writeTextFile(prolog, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    await using strict = await Cluster.start({ nodes: 1, parameters: { Prolog: prolog } });
    await using host = await EngineHost.open(strict);
    const file = join(strict.folder, "witness");
    const job = await host.run(witness(file, "ran"));
    await until("the node to be drained", async () => {
      const { stdout } = await strict.run(["sinfo", "-h", "-N", "-t", "drain", "-o", "%N"]);
      return stdout.trim() !== "";
    });
    // Slurm lets it wait for another node; who does not want to wait stops it.
    await host.executor.stop(job.request, { signal: "TERM", killAtMs: Date.now() });
    assert.equal((await endingOf(job)).kind, "never-ran");
    assert.deepEqual(await linesOf(file), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("a start that Slurm refuses says so at once", async () => {
  await using host = await EngineHost.open(cluster);
  const queue = { partition: "no-such-partition" };
  await assert.rejects(
    host.run("echo ran", { settings: { queue } }),
    (error) =>
      error instanceof JobError && error.kind === "invalid" && /partition/.test(error.message),
  );
});
