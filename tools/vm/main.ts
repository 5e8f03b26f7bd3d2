/**
 * Tests the binaries on a real kernel of its own with pure cgroup v2: a guest under QEMU.
 *
 * Usage: deno task test:vm [FILTER]
 *
 * Where the guest cannot be made, everything is skipped and the reason printed. The last line is
 * `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 */
import { build as bundle, stop as stopBundler } from "esbuild";
import { join, resolve } from "node:path";
import process from "node:process";
import { makePki } from "../../tests/support/pki.ts";
import { isInstalled } from "../installed.ts";
import { runProgram } from "../run_program.ts";
import { readTally, readUnexplained, tookLine } from "../test/output.ts";
import { bootGuest, QEMU } from "./boot.ts";
import { makeDisk } from "./disk.ts";
import {
  type GuestSystem,
  GuestSystemError,
  prepareSystem,
  type Release,
  RELEASES,
} from "./root.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const WORK_DIR = join(ROOT, "build", "vm");
const BIN_DIR = join(WORK_DIR, "bin");
const PKI_DIR = join(WORK_DIR, "pki");
const DISK = join(WORK_DIR, "disk.img");

/** Room for the system, the runtime, the binaries and what tests write. */
const DISK_MIB = 2048;

/** A boot takes a few minutes on a busy machine; one that takes longer hangs. */
const BOOT_TIMEOUT_SECONDS = 15 * 60;

/** Programs that make the guest, by the Debian package that has them. */
const PROGRAMS = {
  [QEMU]: "qemu-system-x86",
  "mke2fs": "e2fsprogs",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "tar": "tar",
  "xz": "xz-utils",
};

/** Where the guest has our files. */
const GUEST_DIR = "opt/job-worker";

interface GuestBoot {
  /** The file of tests. */
  readonly tests: string;
  /** The guest's init. */
  readonly entry: string;
  /** More for the kernel's command line. */
  readonly parameters: readonly string[];
}

const PLAIN_INIT = "/opt/job-worker/init.sh";

const SYSTEMD_BOOT: GuestBoot = {
  tests: "systemd_boot",
  entry: "/usr/lib/systemd/systemd",
  parameters: [
    "systemd.unit=guest-tests.service",
    "systemd.firstboot=off",
    "systemd.show_status=off",
  ],
};

/** The boots of each guest. Later ones find on the disk what the ones before them wrote. */
const BOOTS: Readonly<Record<Release, readonly GuestBoot[]>> = {
  bookworm: [
    { tests: "first_boot", entry: PLAIN_INIT, parameters: [] },
    { tests: "second_boot", entry: PLAIN_INIT, parameters: [] },
    SYSTEMD_BOOT,
  ],
  trixie: [SYSTEMD_BOOT],
};

/**
 * Libraries in the bundle ask for Node's modules by `require`, and keep timers that end with the
 * process only if they are Node's.
 */
const BANNER = `import { createRequire as $createRequire } from "node:module";
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
const require = $createRequire(import.meta.url);`;

const total = { passed: 0, failed: 0, skipped: 0 };

/** The programs that are missing here, by package; empty where all are there. */
async function missingPackages(): Promise<string[]> {
  const missing = [];
  for (const [program, name] of Object.entries(PROGRAMS)) {
    // mke2fs is where only root's PATH leads.
    if (!await isInstalled(program, ["/usr/sbin", "/sbin"])) missing.push(name);
  }
  return missing;
}

/** Installs what is missing, where that can be done. @throws {GuestSystemError} */
async function installPrograms(): Promise<void> {
  if (Deno.build.arch !== "x86_64") throw new GuestSystemError("this host is not x86-64");
  let missing = await missingPackages();
  if (missing.length > 0 && Deno.uid() === 0 && await isInstalled("apt-get")) {
    console.log(`vm: installing ${missing.join(", ")}`);
    Deno.env.set("DEBIAN_FRONTEND", "noninteractive");
    const install = ["-qq", "install", "--yes", "--no-install-recommends", ...missing];
    try {
      await runProgram("apt-get", ["-qq", "update"]);
      await runProgram("apt-get", install);
    } catch (error) {
      console.log(`vm: ${(error as Error).message}`);
    }
    missing = await missingPackages();
  }
  if (missing.length === 0) return;
  throw new GuestSystemError(`not installed: ${missing.join(", ")} (apt-get install them as root)`);
}

/** Puts the binaries, the tests and certificates into the guest's root filesystem. */
async function fillGuest(system: GuestSystem, filter: string): Promise<void> {
  const target = join(system.root, GUEST_DIR);
  await Deno.remove(target, { recursive: true }).catch(() => {});
  await Deno.mkdir(join(target, "tests/boots"), { recursive: true });
  // Where tests/support/binaries.ts looks for them.
  const binDir = join(target, "build", "test-bin");
  await Deno.mkdir(binDir, { recursive: true });
  for (const name of ["worker-server", "worker-client", "worker-certs"]) {
    await Deno.copyFile(join(BIN_DIR, name), join(binDir, name));
  }
  await Deno.copyFile(Deno.execPath(), join(target, "deno"));
  for (const name of ["init.sh", "run_tests.sh"]) {
    await Deno.copyFile(join(ROOT, "tests/vm", name), join(target, name));
    await Deno.chmod(join(target, name), 0o755);
  }
  await Deno.writeTextFile(join(target, "filter"), filter);
  await bundleTests(join(target, "tests/boots"));
  await runProgram("cp", ["-r", PKI_DIR, join(target, "pki")]);
  await addInstaller(system.root, target);
}

/** Puts what an operator has on a host before the installation, and the unit that runs the tests. */
async function addInstaller(root: string, target: string): Promise<void> {
  await Deno.symlink("build/test-bin", join(target, "bin"));
  await Deno.mkdir(join(target, "deploy"));
  for await (const { name } of Deno.readDir(join(ROOT, "deploy"))) {
    await Deno.copyFile(join(ROOT, "deploy", name), join(target, "deploy", name));
  }
  const unit = "guest-tests.service";
  await Deno.copyFile(join(ROOT, "tests/vm", unit), join(root, "etc/systemd/system", unit));
}

async function bundleTests(folder: string): Promise<void> {
  await bundle({
    absWorkingDir: ROOT,
    entryPoints: ["first", "second", "systemd"].map((boot) => `tests/vm/${boot}_boot.ts`),
    outdir: folder,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    banner: { js: BANNER },
    logLevel: "warning",
  });
}

async function buildBinaries(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "tools/build/main.ts", "--out", BIN_DIR],
    cwd: ROOT,
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("the binaries cannot be built");
}

async function runBoot(system: GuestSystem, boot: GuestBoot): Promise<void> {
  console.log(`\n== guest of Debian ${system.release}: ${boot.tests}`);
  const beginMs = performance.now();
  const output = await bootGuest({
    system,
    disk: DISK,
    entry: boot.entry,
    parameters: [`tests=${boot.tests}`, ...boot.parameters],
    timeoutSeconds: BOOT_TIMEOUT_SECONDS,
  });
  const name = `guest of Debian ${system.release}: ${boot.tests}`;
  console.log(tookLine({ name, ms: performance.now() - beginMs }));
  const tally = readTally(output, /^guest: the tests ended with status 0$/m.test(output));
  total.passed += tally.passed;
  total.failed += tally.failed + readUnexplained(output).length;
  total.skipped += tally.skipped;
}

async function testGuest(release: Release, filter: string): Promise<void> {
  const initScript = await Deno.readTextFile(join(ROOT, "tests/vm/initrd.sh"));
  const system = await prepareSystem(WORK_DIR, { release, initScript });
  await fillGuest(system, filter);
  await makeDisk(DISK, system.root, DISK_MIB);
  for (const boot of BOOTS[release]) await runBoot(system, boot);
}

async function testAll(filter: string): Promise<void> {
  await Deno.mkdir(WORK_DIR, { recursive: true });
  await skipUnlessPossible("in guests", async () => {
    await installPrograms();
    await buildBinaries();
    // Made here, since RSA keys would take the guest minutes.
    await Deno.remove(PKI_DIR, { recursive: true }).catch(() => {});
    await makePki(BIN_DIR, PKI_DIR);
    for (const release of RELEASES) {
      await skipUnlessPossible(`in a guest of Debian ${release}`, () => testGuest(release, filter));
    }
  });
}

/** Counts as one skipped test, with the reason, what cannot be made on this host. */
async function skipUnlessPossible(what: string, test: () => Promise<void>): Promise<void> {
  try {
    await test();
  } catch (error) {
    if (!(error instanceof GuestSystemError)) throw error;
    console.log(`SKIP tests ${what}: ${error.message}`);
    total.skipped++;
  }
}

try {
  await testAll(Deno.args[0] ?? "");
} catch (error) {
  console.error(error);
  total.failed++;
} finally {
  await Deno.remove(DISK).catch(() => {});
  await stopBundler();
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
