/**
 * Makes what a guest boots: Debian's cloud kernel, an initrd, and a root filesystem of Debian packages.
 *
 * Packages are fetched by apt-get as if into an empty system, so that their dependencies come with
 * them and nothing is installed on this host. Everything is kept below build/vm and made once.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { runProgram } from "../run_program.ts";

/** What the guest has, apart from dependencies. */
const PACKAGES = [
  "base-files",
  "busybox-static",
  "coreutils",
  "dash",
  "diffutils",
  "dpkg",
  "findutils",
  "grep",
  "init-system-helpers",
  "libc-bin",
  "linux-image-cloud-amd64",
  // Scripts of init-system-helpers are written in it.
  "perl-base",
  "sed",
  "systemd",
  "util-linux",
];

/** Loaded by the initrd where they are modules; every kernel has ext4 built in. */
const DRIVERS = [
  "virtio_ring",
  "virtio",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
  "virtio_blk",
];

/** Parts of packages that no test looks at. */
const UNNEEDED = ["boot", "usr/lib/modules", "usr/share"];

/** Folders that are links into /usr on every present Debian; packages still name both. */
const MERGED = ["bin", "lib", "lib64", "sbin"];

/** Text files that installation scripts would make on a real host. */
const FILES: Readonly<Record<string, string>> = {
  "etc/hosts": "127.0.0.1 localhost guest\n::1 localhost\n",
  "etc/hostname": "guest\n",
  "etc/machine-id": "",
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
  "etc/group": "root:x:0:\nadm:x:4:\ntty:x:5:\nutmp:x:43:\nsystemd-journal:x:101:\n" +
    "nogroup:x:65534:\n",
  "var/lib/dpkg/status": "",
};

/** Raised by one when what this file makes changes, so that an old one is not used. */
const VERSION = 2;

/** The Debian releases that guests are made of: one with systemd 252, one with 257. */
export const RELEASES = ["bookworm", "trixie"] as const;
export type Release = typeof RELEASES[number];

/** Where Debian's packages for installed systems have the keys of its archive. */
const ARCHIVE_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What a guest boots. */
export interface GuestSystem {
  readonly release: Release;
  readonly kernel: string;
  readonly initrd: string;
  /** A folder with the files of the root filesystem. */
  readonly root: string;
}

/** The guest's system cannot be made on this host: the message says why. */
export class GuestSystemError extends Error {
  override name = "GuestSystemError";
}

/**
 * Makes the guest's system, or takes the one that was made before.
 *
 * @param parentFolder Where it is kept.
 * @param options The release of Debian, and the first program of the initrd, a shell script for busybox.
 * @throws {GuestSystemError} Where the packages cannot be had.
 */
export async function prepareSystem(
  parentFolder: string,
  { release, initScript }: { release: Release; initScript: string },
): Promise<GuestSystem> {
  const inputs = JSON.stringify([VERSION, PACKAGES, DRIVERS, UNNEEDED, FILES, initScript]);
  const key = createHash("sha256").update(inputs).digest("hex").slice(0, 16);
  const folder = join(parentFolder, release);
  const place = join(folder, `system-${key}`);
  const system = {
    release,
    kernel: join(place, "vmlinuz"),
    initrd: join(place, "initrd"),
    root: join(place, "root"),
  };
  if (await exists(place)) return system;
  const archives = await fetchPackages(folder, release);
  const work = await Deno.makeTempDir({ dir: folder, prefix: "unpacking-" });
  try {
    await unpack(archives, join(work, "root"));
    await makeInitrd(work, initScript);
    for (const name of UNNEEDED) await Deno.remove(join(work, "root", name), { recursive: true });
    await completeRoot(join(work, "root"));
    await Deno.rename(work, place);
  } catch (error) {
    await Deno.remove(work, { recursive: true });
    throw error;
  }
  return system;
}

/** Fetches the packages with all that they depend on; returns the files. */
async function fetchPackages(folder: string, release: Release): Promise<string[]> {
  const archives = join(folder, "archives");
  const lists = join(folder, "lists");
  for (const name of [archives, lists]) {
    await Deno.mkdir(join(name, "partial"), { recursive: true });
  }
  // A system in which nothing is installed: each dependency is fetched.
  const status = join(folder, "no-packages");
  await Deno.writeTextFile(status, "");
  const sources = join(folder, "sources.list");
  await Deno.writeTextFile(
    sources,
    `deb [signed-by=${ARCHIVE_KEYS}] ${await debianArchive()} ${release} main\n`,
  );
  const options = [
    `Dir::State::status=${status}`,
    `Dir::State::lists=${lists}`,
    `Dir::Cache::archives=${archives}`,
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    `Dir::Etc::sourcelist=${sources}`,
    "Dir::Etc::sourceparts=/nonexistent",
    "APT::Sandbox::User=root",
  ].map((option) => `--option=${option}`);
  const flags = ["--no-install-recommends", "--download-only", "--yes", "-qq"];
  try {
    await runProgram("apt-get", [...options, "-qq", "update"]);
    await runProgram("apt-get", [...options, ...flags, "install", ...PACKAGES]);
  } catch (error) {
    throw new GuestSystemError(
      `the guest's packages of Debian ${release} cannot be had: ${(error as Error).message}`,
    );
  }
  const names = await Array.fromAsync(Deno.readDir(archives));
  return names.filter(({ name }) => name.endsWith(".deb")).map(({ name }) => join(archives, name));
}

/** The archive that this host has Debian's packages from. */
async function debianArchive(): Promise<string> {
  const { stdout } = await new Deno.Command("apt-get", {
    args: ["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(SUITE) $(REPO_URI)"],
    stdin: "null",
    stderr: "null",
  }).output();
  const targets = new TextDecoder().decode(stdout).split("\n").map((line) => line.split(" "));
  const archive = targets.find(([origin, component, suite]) =>
    origin === "Debian" && component === "main" && !/security|updates/.test(suite ?? "")
  )?.[3];
  if (archive !== undefined) return archive;
  throw new GuestSystemError("this host has no archive of Debian's among its package sources");
}

async function unpack(archives: readonly string[], root: string): Promise<void> {
  for (const name of MERGED) {
    await Deno.mkdir(join(root, "usr", name), { recursive: true });
    await Deno.symlink(`usr/${name}`, join(root, name));
  }
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink -C "$2"';
  for (const archive of archives) await runProgram("sh", ["-ec", script, "sh", archive, root]);
}

async function makeInitrd(work: string, initScript: string): Promise<void> {
  const root = join(work, "root");
  const kernel = (await Array.fromAsync(Deno.readDir(join(root, "boot"))))
    .find(({ name }) => name.startsWith("vmlinuz-"))?.name;
  if (kernel === undefined) throw new GuestSystemError("the kernel's package has no kernel");
  await Deno.copyFile(join(root, "boot", kernel), join(work, "vmlinuz"));
  const initrd = join(work, "initrd-files");
  for (const name of ["bin", "dev", "proc", "sys", "root", "modules"]) {
    await Deno.mkdir(join(initrd, name), { recursive: true });
  }
  const modules = join(root, "usr/lib/modules", kernel.slice("vmlinuz-".length), "kernel/drivers");
  for (const driver of DRIVERS) {
    const category = driver === "virtio_blk" ? "block" : "virtio";
    const target = join(initrd, "modules", `${driver}.ko`);
    await copyModule(join(modules, category, `${driver}.ko`), target);
  }
  const busybox = join(root, "bin/busybox");
  await Deno.copyFile(busybox, join(initrd, "bin/busybox"));
  await Deno.symlink("busybox", join(initrd, "bin/sh"));
  await Deno.writeTextFile(join(initrd, "init"), initScript, { mode: 0o755 });
  const pack = '"$1" find . | "$1" cpio -o -H newc >../initrd 2>/dev/null';
  await runProgram("sh", ["-ec", pack, "sh", busybox], { cwd: initrd });
  await Deno.remove(initrd, { recursive: true });
}

/** Newer releases have modules compressed, which the initrd's insmod does not read, or built in. */
async function copyModule(source: string, target: string): Promise<void> {
  if (await exists(source)) return await Deno.copyFile(source, target);
  if (!await exists(`${source}.xz`)) return;
  const script = 'xz --decompress --stdout "$1" >"$2"';
  await runProgram("sh", ["-ec", script, "sh", `${source}.xz`, target]);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).catch(() => undefined) !== undefined;
}

async function completeRoot(root: string): Promise<void> {
  for (const [name, text] of Object.entries(FILES)) {
    await Deno.writeTextFile(join(root, name), text);
  }
}
