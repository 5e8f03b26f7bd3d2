/** The executor of a cluster, on a cluster whose parts fail. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import { Job } from "../conformance/site.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { ClusterSite } from "../support/cluster/cluster_site.ts";
import { isLong } from "../support/cluster/length.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

/** How often the controller is killed, and over how much time after a start. */
const CONTROLLER_KILLS = isLong ? 20 : 3;
const KILL_SPAN_MS = 3000;

/** A node that is away for so long is not given up (SlurmdTimeout is 10 s). */
const SHORT_CUT_MS = 3000;

/** Slurm gives a node up some time after its SlurmdTimeout; then its jobs are given some time, too. */
const GIVE_UP_DEADLINE_MS = 60_000;

/** Jobs of a burst, of which the nodes cannot start the half in the time that Slurm gives them. */
const BURST_JOBS = 40;
const BATCH_START_TIMEOUT_S = 10;

const IN_AN_HOUR = { beginAtMs: Date.now() + 3_600_000 };

const reason = await whyNoCluster();

function test(name: string, fn: () => Promise<void>, why = reason): void {
  // A server that is killed leaves scripts behind, which end by themselves: so does an executor.
  testUnless(why, {
    name: `engine failures: ${name}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function linesOf(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("\n").filter(Boolean);
}

/** The node that a job runs on, once it does. */
async function nodeOf(job: Job): Promise<string> {
  return (await job.begun()).node ?? "";
}

/** What must be so of jobs of which each appends its index to a file: none has run twice, or untold. */
async function checkWitness(file: string, jobs: readonly Job[]): Promise<string> {
  const endings = await Promise.all(jobs.map((job) => job.ended()));
  const lines = await linesOf(file);
  for (const [index, ending] of endings.entries()) {
    const times = lines.filter((line) => line === String(index)).length;
    const expected = { exited: [1], lost: [0, 1], "never-ran": [0] }[ending.kind];
    assert(expected.includes(times), `job ${index} ran ${times} times: ${JSON.stringify(ending)}`);
    if (ending.kind === "exited") assert.equal(ending.exitCode, 0);
  }
  const count = (kind: string) => endings.filter((ending) => ending.kind === kind).length;
  return `${count("exited")} exited, ${count("never-ran")} never ran, ${count("lost")} were lost`;
}

test(`a controller that is killed ${CONTROLLER_KILLS} times soon after a start runs nothing twice`, async () => {
  await using cluster = await Cluster.start();
  await using site = await ClusterSite.of(cluster);
  const file = join(cluster.folder, "witness");
  const jobs: Job[] = [];
  // The first job of a new cluster waits for seconds; the others begin at once.
  await (await Job.script(site, "exit 0")).exited();
  for (let kill = 0; kill < CONTROLLER_KILLS; kill++) {
    for (const _ of [1, 2]) {
      jobs.push(await Job.script(site, `echo ${jobs.length} >>${file}; sleep 1`));
    }
    // The time itself is what is tried.
    await wait(100 + kill * (KILL_SPAN_MS - 100) / (CONTROLLER_KILLS - 1));
    await cluster.killController();
    await cluster.startController();
    await cluster.untilReady(1);
  }
  console.log(`of ${jobs.length} jobs ${await checkWitness(file, jobs)}`);
  assert.equal((await (await Job.script(site, "exit 3")).exited()).exitCode, 3);
});

test("a node without power, and nodes without network for a short and a long time", async () => {
  await using cluster = await Cluster.start({ nodes: 3 });
  await using site = await ClusterSite.of(cluster);
  const gate = join(cluster.folder, "gate");
  // A node has four cores: so each is on one of its own.
  const settings = { queue: { cpus: 3 } };
  const [off, short, long] = await Promise.all([
    Job.script(site, "echo before; sleep 1000", { settings }),
    Job.script(site, `echo before; until [ -e ${gate} ]; do sleep 0.05; done; exit 5`, {
      settings,
    }),
    Job.script(site, "echo before; sleep 1000", { settings }),
  ]);
  const [offNode, shortNode, longNode] = await Promise.all([off, short, long].map(nodeOf));
  assert(offNode && shortNode && longNode);
  assert.equal(new Set([offNode, shortNode, longNode]).size, 3);
  await until("their output", async () => {
    const texts = await Promise.all([off, short, long].map((job) => job.output()));
    return texts.every((text) => text === "before\n");
  });
  await Promise.all([
    cluster.nodeNamed(offNode).powerOff(),
    cluster.nodeNamed(shortNode).unplug(),
    cluster.nodeNamed(longNode).unplug(),
  ]);
  await Deno.writeTextFile(gate, "");
  await wait(SHORT_CUT_MS);
  await cluster.nodeNamed(shortNode).plug();
  assert.equal((await short.exited()).exitCode, 5);

  for (const [job, node] of [[off, offNode], [long, longNode]] as const) {
    const ending = await job.ended();
    assert(ending.kind === "lost", JSON.stringify(ending));
    assert.match(ending.reason, new RegExp(`node ${node} failed.*may run on`));
    assert.equal(await job.output(), "before\n");
  }
  await cluster.nodeNamed(longNode).plug();
  await until("what was cut off to be killed", async () => {
    const { stdout } = await run("find", ["/sys/fs/cgroup", "-name", `*-${long.id}`]);
    return stdout === "";
  }, GIVE_UP_DEADLINE_MS);
  await cluster.untilReady(2);
  assert.equal((await (await Job.script(site, "exit 6", { settings })).exited()).exitCode, 6);
});

test("a controller that is dead, hangs and comes back changes no job's state, and runs what waited for it once", async () => {
  await using cluster = await Cluster.start({ parameters: { MessageTimeout: "4" } });
  await using site = await ClusterSite.of(cluster);
  const file = join(cluster.folder, "witness");
  const gates = [0, 1].map((index) => join(cluster.folder, `gate-${index}`));
  const [one, other, waiting] = await Promise.all([
    ...gates.map((gate, index) =>
      Job.script(site, `until [ -e ${gate} ]; do sleep 0.05; done; exit ${index + 3}`)
    ),
    Job.script(site, "exit 7", { settings: { queue: IN_AN_HOUR } }),
  ]);
  assert(one && other && waiting);
  await Promise.all([one.begun(), other.begun()]);
  const ids = [one, other, waiting].map(({ id }) => id);
  const states = () => site.executor.statuses(ids).map((status) => status?.engineState);
  await until("Slurm's answer", () => states().join() === "RUNNING,RUNNING,PENDING");
  // What it has not saved yet, a controller that is killed does not know afterwards: that is another test's.
  const runningAtMs = Date.now();
  const { engineJob } = site.executor.statuses([waiting.id])[0] ?? {};
  await cluster.run(["scontrol", "update", `JobId=${engineJob}`, "Comment=save"]);
  await until("the controller to save what it knows", async () => {
    const { mtime } = await Deno.stat(join(cluster.folder, "state/job_state"));
    return (mtime?.getTime() ?? 0) > runningAtMs;
  });

  const isRefused = (job: Promise<unknown>) =>
    assert.rejects(
      job,
      (error) => error instanceof JobError && error.kind === "unavailable",
    );
  await cluster.killController();
  // No connection was made, so that it certainly has not taken the job.
  const late = await Job.script(site, `echo dead >>${file}; exit 8`);
  assert.match(site.executor.statuses([late.id])[0]?.pendingReason ?? "", /not taken it yet/);
  await Deno.writeTextFile(gates[0] ?? "", "");
  assert.equal((await one.exited()).exitCode, 3);
  const beganMs = performance.now();
  assert.equal(states().join(), "RUNNING,RUNNING,PENDING");
  assert(performance.now() - beganMs < 100, "the states were asked for");
  await cluster.startController();
  await cluster.untilAnswers();
  assert.equal((await late.exited()).exitCode, 8);

  cluster.stopController();
  // The controller takes it once it goes on: a launch record then keeps it from running.
  await isRefused(Job.script(site, `echo hung >>${file}`));
  await Deno.writeTextFile(gates[1] ?? "", "");
  assert.equal((await other.exited()).exitCode, 4);
  cluster.continueController();
  await waiting.stop(0);
  assert.equal((await waiting.ended()).kind, "never-ran");
  await until("the queue to be empty", async () => {
    const { code, stdout } = await cluster.run(["squeue", "--noheader"]);
    return code === 0 && stdout === "";
  }, GIVE_UP_DEADLINE_MS);
  assert.deepEqual(await linesOf(file), ["dead"]);
  assert.equal((await (await Job.script(site, "exit 6")).exited()).exitCode, 6);
});

test("a start that Slurm's full queue does not take waits, also for the next server, and runs once", async () => {
  await using cluster = await Cluster.start({ nodes: 1, parameters: { MaxJobCount: "3" } });
  await using site = await ClusterSite.of(cluster);
  const file = join(cluster.folder, "witness");
  const settings = { queue: IN_AN_HOUR };
  const [first, second] = [
    await Job.script(site, "exit 0", { settings }),
    await Job.script(site, "exit 0", { settings }),
  ];
  const waiting = await Job.script(site, `echo ran >>${file}; exit 5`);
  const stopped = await Job.script(site, `echo stopped >>${file}`);
  const reasonOf = ({ id }: Job) => site.executor.statuses([id])[0]?.pendingReason ?? "";
  for (const job of [waiting, stopped]) assert.match(reasonOf(job), /unable to accept job/);
  await stopped.stop(0);
  assert.equal((await stopped.ended()).kind, "never-ran");
  await site.restart();
  for (const job of [first, second, waiting]) await job.adopt("pending");
  assert.match(reasonOf(waiting), /waited when the server ended/);
  await cluster.killController();
  const conf = await Deno.readTextFile(cluster.confFile);
  await Deno.writeTextFile(cluster.confFile, conf.replace("MaxJobCount=3", "MaxJobCount=30"));
  await cluster.startController();
  assert.equal((await waiting.exited()).exitCode, 5);
  assert.deepEqual(await linesOf(file), ["ran"]);
});

test("a stranger's job that has got the number of a lost one is neither signalled nor cancelled", async () => {
  await using cluster = await Cluster.start();
  await using site = await ClusterSite.of(cluster);
  const ours = await Job.script(site, "echo ran", { settings: { queue: IN_AN_HOUR } });
  await cluster.killController();
  await cluster.startController({ knowsJobs: false });
  await cluster.untilReady();
  const output = join(cluster.folder, "stranger");
  const script = "trap 'echo heard' TERM USR1 HUP; echo ready; while :; do sleep 0.1; done";
  const stranger = await cluster.run([
    ...["sbatch", "--parsable", "--job-name=stranger", `--output=${output}`, "--wrap", script],
  ]);
  assert.equal(stranger.stdout.trim(), ours.tracked?.engineJob, stranger.stderr);
  await until("the stranger's job", async () => (await linesOf(output)).includes("ready"));

  await ours.stop(0);
  assert.equal((await ours.ended()).kind, "never-ran");
  assert.equal(site.executor.statuses([ours.id])[0]?.engineState, undefined);
  const later = await Job.script(site, "exit 4");
  assert.equal((await later.exited()).exitCode, 4);
  assert.deepEqual(await linesOf(output), ["ready"]);
  const { stdout } = await cluster.run(["squeue", "--noheader", "--format=%j %T"]);
  assert.match(stdout, /^stranger RUNNING$/m);
  assert.deepEqual(await ours.output(), "");
});

test(
  "jobs of a burst that their nodes start too late never run, those in time run once, and each is told",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-burst-" });
    const [gate, file] = [join(folder, "gate"), join(folder, "witness")];
    // A node that is busy with every other job's Prolog.
    const prolog = `#!/bin/sh
[ $((SLURM_JOB_ID % 2)) = 1 ] || exit 0
n=0
until [ -e ${gate} ] || [ "$n" = ${
      10 * GIVE_UP_DEADLINE_MS / 1000
    } ]; do n=$((n + 1)); sleep 0.1; done
`;
    await Deno.writeTextFile(join(folder, "prolog"), prolog, { mode: 0o755 });
    try {
      await using cluster = await Cluster.start({
        parameters: {
          NodeCPUs: String(BURST_JOBS),
          BatchStartTimeout: String(BATCH_START_TIMEOUT_S),
          Prolog: join(folder, "prolog"),
        },
      });
      await using site = await ClusterSite.of(cluster);
      const jobs = await Promise.all(
        Array.from(
          { length: BURST_JOBS },
          (_, index) => Job.script(site, `echo ${index} >>${file}`),
        ),
      );
      // The time itself is what is tried; its controller adds MessageTimeout to it.
      await wait((BATCH_START_TIMEOUT_S + 7) * 1000);
      // The nodes then tell which jobs they have.
      await cluster.run(["scontrol", "reconfigure"]);
      const late = await until("Slurm to give jobs up", async () => {
        const { stdout } = await cluster.run(["squeue", "-h", "--states=NODE_FAIL", "-o", "%j"]);
        const failed = jobs.filter(({ id }) => stdout.includes(id));
        return failed.length === BURST_JOBS / 2 && failed;
      }, GIVE_UP_DEADLINE_MS);
      for (const job of late) assert.equal((await job.ended()).kind, "never-ran");
      await Deno.writeTextFile(gate, "");
      await cluster.untilReady();
      console.log(`of ${jobs.length} jobs ${await checkWitness(file, jobs)}`);
      assert.equal((await linesOf(file)).length, BURST_JOBS / 2);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
  reason ?? (isLong ? undefined : "it takes minutes: deno task test:cluster -- --long"),
);
