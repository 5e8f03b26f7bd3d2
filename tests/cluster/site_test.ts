/** The tests on a cluster that is there already (`--site`), on one that was made before. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Cluster } from "../support/cluster/cluster.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { clearRunFolder, makeRunFolder, siteProblem } from "../../tools/test/site_folder.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";
import { run } from "../support/run.ts";

testUnless(await whyNoCluster(), {
  name:
    "site: a cluster that is there is tested, with processes of other hosts, and nothing is left",
  fn: async () => {
    await using cluster = await Cluster.start();
    const folder = join(cluster.folder, "shared");
    await Deno.mkdir(folder);
    const test = async (file: string, filter: string) => {
      const args = ["test", "--allow-all", "--no-check", `--filter=${filter}`];
      const { code, stdout } = await run(Deno.execPath(), [...args, `tests/cluster/${file}`], {
        env: {
          JOB_WORKER_TEST_SITE: folder,
          JOB_WORKER_TEST_SITE_CONF: cluster.confFile,
          JOB_WORKER_TEST_SITE_PARTITION: "main",
          NO_COLOR: "1",
        },
      });
      assert.equal(code, 0, stdout);
      return stdout;
    };
    const held = await test("conformance_test.ts", "keeps a job's environment");
    assert.match(held, /ok \| 1 passed/);
    const skipped = await test("node_test.ts", "limits hold");
    assert.match(skipped, /^SKIP node: limits hold .*: needs a cluster of its own$/m);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);
    await assertCleared(cluster, folder);
  },
});

/** Of a run that has failed or was cut short, its jobs are cancelled and its folder goes; others' jobs stay. */
async function assertCleared(cluster: Cluster, folder: string): Promise<void> {
  const place = { folder, confFile: cluster.confFile };
  assert.equal(await siteProblem(place), undefined);
  const runFolder = await makeRunFolder(place);
  const [running, waiting, others] = [1, 2, 3].map(() => crypto.randomUUID());
  await Deno.mkdir(join(runFolder, "job-worker-test-a/jobs", `${running}`), { recursive: true });
  await Deno.mkdir(join(runFolder, "jobs/events-b/jobs", `${waiting}`), { recursive: true });
  for (const [name, when] of [[running, "now"], [waiting, "now+1hour"], [others, "now+1hour"]]) {
    const args = ["--output=/dev/null", `--job-name=${name}`, `--begin=${when}`];
    args.push("--wrap=exec sleep 600");
    assert.equal((await cluster.run(["sbatch", ...args])).code, 0);
  }
  const queue = async () => (await cluster.run(["squeue", "-h", "-o", "%j %T"])).stdout;
  await until("the job to run", async () => (await queue()).includes(`${running} RUNNING`));
  assert.equal(await clearRunFolder(runFolder, cluster.confFile), 2);
  const left = await queue();
  assert(left.includes(`${others}`) && !left.includes(`${running}`), left);
  assert(!left.includes(`${waiting}`), left);
  await assert.rejects(Deno.stat(runFolder), Deno.errors.NotFound);
  for (const wrong of ["shared", "/no/such/folder", cluster.confFile]) {
    assert.match(await siteProblem({ ...place, folder: wrong }) ?? "", /absolute path|no folder/);
  }
  const missing = { ...place, confFile: "/no/such/file" };
  assert.match(await siteProblem(missing) ?? "", /no file .*--conf/);
}
