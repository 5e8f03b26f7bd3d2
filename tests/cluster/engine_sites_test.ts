/** The executor of a cluster, on clusters that are made for it: whose nodes, share and configuration are odd. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { SlurmExecutor } from "../../lib/executor/slurm.ts";
import { Job } from "../conformance/site.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { ClusterSite } from "../support/cluster/cluster_site.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { StaleShare } from "../support/cluster/stale_share.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

const reason = await whyNoCluster();
let cluster: Cluster;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    cluster = await Cluster.start();
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

test("slurmd that restarts loses no end of a job", async () => {
  await using site = await ClusterSite.of(cluster);
  const gates = [0, 1].map((index) => join(cluster.folder, `slurmd-gate-${index}`));
  const jobs = await Promise.all(
    gates.map((gate, index) =>
      Job.script(site, `until [ -e ${gate} ]; do sleep 0.05; done; exit ${index + 3}`)
    ),
  );
  const [one, other] = await Promise.all(jobs.map((job) => job.begun()));
  assert(one && other);
  const nodes = new Set([one.node ?? "", other.node ?? ""]);
  for (const name of nodes) await cluster.nodeNamed(name).killSlurmd();
  await Deno.writeTextFile(gates[0] ?? "", "");
  assert(jobs[0] && jobs[1]);
  assert.equal((await jobs[0].exited()).exitCode, 3);
  for (const name of nodes) await cluster.nodeNamed(name).startSlurmd();
  await Deno.writeTextFile(gates[1] ?? "", "");
  assert.equal((await jobs[1].exited()).exitCode, 4);
  await cluster.untilReady();
});

test("through a share whose attributes are cached, an end is told with the whole output", async () => {
  await using share = await StaleShare.make(join(cluster.folder, "stale"));
  await using site = await ClusterSite.of(cluster, "stale");
  assert.equal(site.sharedFolder, share.folder);
  const jobs = await Promise.all(
    [1, 2, 3].map((index) =>
      Job.script(
        site,
        `i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done; exit ${index}`,
      )
    ),
  );
  const polite = await Job.script(site, "trap 'exit 9' TERM; while :; do sleep 0.05; done");
  for (const [index, job] of jobs.entries()) {
    assert.equal((await job.exited()).exitCode, index + 1);
    assert.equal((await job.output()).split("\n").length, 21);
  }
  await polite.begun();
  await polite.stop(60_000);
  assert.equal((await polite.exited()).exitCode, 9);
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
    await using site = await ClusterSite.of(strict);
    const file = join(strict.folder, "witness");
    const job = await Job.script(site, `echo ran >${file}`);
    await until("the node to be drained", async () => {
      const { stdout } = await strict.run(["sinfo", "-h", "-N", "-t", "drain", "-o", "%N"]);
      return stdout.trim() !== "";
    });
    // Slurm lets it wait for another node; who does not want to wait stops it.
    await job.stop(0);
    assert.equal((await job.ended()).kind, "never-ran");
    await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
