/** A share as a client with caches sees it: what the nodes write becomes visible seconds later. */
import { join } from "node:path";
import { run } from "../run.ts";
import { until } from "../wait.ts";
import type { Cluster } from "./cluster.ts";
import { succeed } from "./node.ts";

/** How long attributes and names are taken from the cache, in seconds: that of NFS is 3 to 60. */
const CACHE_SECONDS = 3;

/** A folder of a cluster, mounted over itself on this host, not on the nodes, by bindfs(1). */
export class StaleShare implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async make(cluster: Cluster, name: string): Promise<StaleShare> {
    const folder = join(cluster.folder, name);
    await Deno.mkdir(folder);
    const caches = ["attr_timeout", "entry_timeout", "negative_timeout"]
      .map((option) => `${option}=${CACHE_SECONDS}`).join(",");
    await succeed("bindfs", ["-o", `nonempty,${caches}`, folder, folder]);
    return new StaleShare(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until(
      "the share to be free",
      async () => (await run("umount", [this.folder])).code === 0,
    );
  }
}
