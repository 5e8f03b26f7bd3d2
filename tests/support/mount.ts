/** Filesystems of a test's own. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { LOG_DIR } from "./binaries.ts";
import { run } from "./run.ts";
import { until } from "./wait.ts";

let count = 0;

/** A filesystem in memory, or in a file, below the log directory that the binaries under test may write to. */
export class Mount implements AsyncDisposable {
  private constructor(readonly folder: string, private readonly image?: string) {}

  static async make(type: string, options: string): Promise<Mount> {
    return new Mount(await mount(["-t", type, "-o", options, "none"], type));
  }

  /** One that can be frozen. Takes root and a kernel with loop devices. */
  static async ext4(): Promise<Mount> {
    const image = await Deno.makeTempFile({ prefix: "job-worker-ext4-" });
    await Deno.truncate(image, IMAGE_BYTES);
    const { code, stderr } = await run("mkfs.ext4", ["-q", "-F", image]);
    assert.equal(code, 0, stderr);
    return new Mount(await mount(["-t", "ext4", "-o", "loop", image], "ext4"), image);
  }

  /** Lets every change of it wait, until what is returned is disposed of; half a minute at most. */
  async freeze(): Promise<AsyncDisposable> {
    const { folder } = this;
    const script = 'fsfreeze -f "$1" && echo frozen; read -t 30 -r line; fsfreeze -u "$1"';
    const holder = new Deno.Command("bash", {
      args: ["-c", script, "bash", folder],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const printed = holder.stdout.getReader();
    await printed.read();
    return {
      async [Symbol.asyncDispose]() {
        await holder.stdin.close();
        await holder.status;
        await printed.cancel();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until("the filesystem to be free", async () => {
      return (await run("umount", [this.folder])).code === 0;
    });
    await Deno.remove(this.folder);
    if (this.image !== undefined) await Deno.remove(this.image);
  }
}

/** The least that ext4 takes with its journal, and some more. */
const IMAGE_BYTES = 32 * 1024 ** 2;

async function mount(args: readonly string[], name: string): Promise<string> {
  const folder = join(LOG_DIR, `${name}-${Deno.pid}-${++count}`);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const { code, stderr } = await run("mount", [...args, folder]);
  assert.equal(code, 0, stderr);
  await Deno.chmod(folder, 0o700);
  return folder;
}

/** Why no filesystem can be frozen here. */
export async function cannotFreeze(): Promise<string | undefined> {
  for (const program of ["mkfs.ext4", "losetup", "fsfreeze"]) {
    if ((await run("sh", ["-c", `command -v ${program}`])).code !== 0) {
      return `${program} is not installed`;
    }
  }
  const { code } = await run("losetup", ["-f"]);
  return code === 0 ? undefined : "the kernel has no loop devices";
}
