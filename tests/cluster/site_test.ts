/** The tests on a cluster that is there already (`--site`), on one that was made before. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Cluster } from "../support/cluster/cluster.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { testUnless } from "../support/skip.ts";
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
  },
});
