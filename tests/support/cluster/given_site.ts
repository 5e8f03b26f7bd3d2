/** A cluster that is there already: `deno task test:cluster -- --site FOLDER` (tools/test/site.ts). */
import { join } from "node:path";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { ClusterSite } from "./cluster_site.ts";
import { whyNoOwnCluster } from "./possible.ts";

/** The site that was given; undefined: tests make clusters of their own. */
const GIVEN = Deno.env.get("JOB_WORKER_TEST_SITE") || undefined;

/** Whether the cluster is one that is there already: others use it, too. */
export const isGivenSite = GIVEN !== undefined;

/** Why there is no cluster to test on; undefined: there is one, given or our own. */
export async function whyNoSite(): Promise<string | undefined> {
  return GIVEN === undefined ? await whyNoOwnCluster() : undefined;
}

/** Why no cluster may be made, and broken, here; undefined where one can. */
export async function whyNoCluster(): Promise<string | undefined> {
  return GIVEN === undefined ? await whyNoOwnCluster() : "needs a cluster of its own";
}

/** Opens the given site, in a folder of its own that is removed at the end, or one on a cluster of our own. */
export async function openSite(options?: ClusterOptions): Promise<ClusterSite> {
  if (GIVEN !== undefined) {
    const sharedFolder = await Deno.makeTempDir({ dir: GIVEN, prefix: "job-worker-test-" });
    return await ClusterSite.open({
      confFile: Deno.env.get("JOB_WORKER_TEST_SITE_CONF") ?? "",
      sharedFolder,
      partition: Deno.env.get("JOB_WORKER_TEST_SITE_PARTITION") ?? "",
      hasOtherHosts: true,
      onEnd: () => Deno.remove(sharedFolder, { recursive: true }),
    });
  }
  const cluster = await Cluster.start(options);
  const sharedFolder = join(cluster.folder, "share");
  await Deno.mkdir(sharedFolder);
  return await ClusterSite.open({
    confFile: cluster.confFile,
    sharedFolder,
    onEnd: () => cluster[Symbol.asyncDispose](),
  });
}
