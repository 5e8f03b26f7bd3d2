/** A share as a client with caches sees it: what the nodes write becomes visible seconds later. */
import { run } from "../run.ts";
import { until } from "../wait.ts";
import { succeed } from "./node.ts";

/** How long attributes and names are taken from the cache, in seconds: that of NFS is 3 to 60. */
const CACHE_SECONDS = 3;

/** A folder mounted over itself by bindfs(1): on this host, and not on nodes that are on already. */
export class StaleShare implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  /** Makes the folder where it is not there. */
  static async make(folder: string): Promise<StaleShare> {
    await Deno.mkdir(folder, { recursive: true });
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
