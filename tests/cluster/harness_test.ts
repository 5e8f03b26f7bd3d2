import { strict as assert } from "node:assert";
import { Cluster } from "../support/cluster/cluster.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

const reason = await whyNoCluster();

testUnless(reason, {
  name: "cluster: runs a job on each node, loses a node and a controller, and leaves nothing",
  fn: async () => {
    let folder: string;
    const groups: string[] = [];
    {
      await using cluster = await Cluster.start();
      folder = cluster.folder;
      const output = `${folder}/out-%N`;
      const ran = await cluster.run([
        ...["sbatch", "--wait", "--parsable", "-N2", "-o", output, "--wrap", "srun hostname"],
      ]);
      assert.equal(ran.code, 0, ran.stderr);
      const text = await Deno.readTextFile(`${folder}/out-${cluster.node(0).name}`);
      assert.deepEqual(
        text.trim().split("\n").sort(),
        cluster.nodes.map(({ name }) => name),
      );

      await cluster.killController();
      await cluster.startController();
      await cluster.node(1).powerOff();
      await until("the controller to miss the node", async () => {
        const { stdout } = await cluster.run(["sinfo", "-h", "-N", "-t", "down", "-o", "%N"]);
        return stdout.trim() === cluster.node(1).name;
      });
      await cluster.node(1).powerOn();
      await cluster.untilReady();
      groups.push(...await cluster.groups());
    }
    assert.notDeepEqual(groups, []);
    for (const path of [folder, ...groups]) {
      await assert.rejects(Deno.stat(path), Deno.errors.NotFound, path);
    }
  },
});
