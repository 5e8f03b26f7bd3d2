/** This host with files of its own: what is written there is gone with it. For what dpkg changes. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ROOT } from "./documents.ts";
import { run } from "./run.ts";

/** An overlay over all of this host's files, kept by the process that reads its standard input. */
const HOLD = `mount -t tmpfs -o size=1g none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
for name in dev proc; do mount --rbind "/$name" "$1/root/$name"; done
mkdir -p "$1/root/run/systemd/system" "$1/root/sys/fs/cgroup"
cp "$2" "$1/root/usr/local/bin/systemctl"
# Hosts on which nothing may be started have it.
rm -f "$1/root/usr/sbin/policy-rc.d"
: >"$1/root/var/lib/calls"
echo ready
exec cat`;

/** A host on which packages are installed and removed. */
export class PackageHost implements AsyncDisposable {
  readonly #folder: string;
  readonly #holder: Deno.ChildProcess;

  private constructor(folder: string, holder: Deno.ChildProcess) {
    this.#folder = folder;
    this.#holder = holder;
  }

  /** Makes the host. Files that are made on this one later are not seen there. */
  static async open(): Promise<PackageHost> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-package-" });
    const systemctl = join(ROOT, "tests", "fixtures", "package", "systemctl");
    const holder = new Deno.Command("unshare", {
      args: [
        ...["--mount", "--propagation", "private"],
        ...["sh", "-ec", HOLD, "sh", folder, systemctl],
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const host = new PackageHost(folder, holder);
    const reader = holder.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    if (new TextDecoder().decode(value) === "ready\n") return host;
    await host[Symbol.asyncDispose]();
    assert.fail("the host for packages cannot be made");
  }

  /** Runs a shell script there, as root. */
  run(script: string): ReturnType<typeof run> {
    const namespace = `--mount=/proc/${this.#holder.pid}/ns/mnt`;
    const root = join(this.#folder, "root");
    return run("nsenter", [namespace, "chroot", root, "sh", "-c", script], {
      env: {
        PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        DEBIAN_FRONTEND: "noninteractive",
      },
    });
  }

  /** Runs a script that has to succeed; returns what it printed. */
  async done(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(script);
    assert.equal(code, 0, `${script}: ${stdout}${stderr}`);
    return stdout;
  }

  /** What systemd was asked to change since the last call. */
  async calls(): Promise<string[]> {
    const text = await this.done("cat /var/lib/calls; : >/var/lib/calls");
    return text.split("\n").filter((line) => line !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stdin.close().catch(() => {});
    await this.#holder.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
