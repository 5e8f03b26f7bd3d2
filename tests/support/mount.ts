/** Filesystems of a test's own. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { LOG_DIR } from "./binaries.ts";
import { run } from "./run.ts";
import { until } from "./wait.ts";

let count = 0;

/** A filesystem in memory, below the log directory that the binaries under test may write to. */
export class Mount implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async make(type: string, options: string): Promise<Mount> {
    const folder = join(LOG_DIR, `${type}-${Deno.pid}-${++count}`);
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const { code, stderr } = await run("mount", ["-t", type, "-o", options, "none", folder]);
    assert.equal(code, 0, stderr);
    await Deno.chmod(folder, 0o700);
    return new Mount(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until("the filesystem to be free", async () => {
      return (await run("umount", [this.folder])).code === 0;
    });
    await Deno.remove(this.folder);
  }
}
