/** What of ours is put into a guest's root filesystem. */
import { build as bundle } from "esbuild";
import { join, resolve } from "node:path";
import { runProgram } from "../run_program.ts";
import { BOOTS } from "./guests.ts";
import { makeServerPackages } from "./packages.ts";
import type { GuestSystem } from "./root.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** Where the guest has our files. */
const GUEST_DIR = "opt/job-worker";

/** Programs that the guest runs, each made one file of tests/vm. */
const ENTRIES = ["first_boot", "power_cut", "second_boot", "systemd_boot"];

/**
 * Libraries in the bundle ask for Node's modules by `require`, and keep timers that end with the
 * process only if they are Node's.
 */
const BANNER = `import { createRequire as $createRequire } from "node:module";
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
const require = $createRequire(import.meta.url);`;

/** What the guest is given. */
export interface Filling {
  /** Where the binaries are. */
  readonly binDir: string;
  /** Certificates and keys: made on the host, since RSA keys would take the guest minutes. */
  readonly pkiDir: string;
  /** A part of the names of the tests that are run; empty: all. */
  readonly filter: string;
}

/** Puts the binaries, the tests and certificates into the guest's root filesystem. */
export async function fillGuest(
  system: GuestSystem,
  { binDir: source, pkiDir, filter }: Filling,
): Promise<void> {
  const target = join(system.root, GUEST_DIR);
  await Deno.remove(target, { recursive: true }).catch(() => {});
  await Deno.mkdir(join(target, "tests/boots"), { recursive: true });
  // Where tests/support/binaries.ts looks for them.
  const binDir = join(target, "build", "test-bin");
  await Deno.mkdir(binDir, { recursive: true });
  for (const name of ["worker-server", "worker-client", "worker-certs"]) {
    await Deno.copyFile(join(source, name), join(binDir, name));
  }
  await Deno.copyFile(Deno.execPath(), join(target, "deno"));
  for (const name of ["init.sh", "run_tests.sh"]) {
    await Deno.copyFile(join(ROOT, "tests/vm", name), join(target, name));
    await Deno.chmod(join(target, name), 0o755);
  }
  await Deno.writeTextFile(join(target, "filter"), filter);
  await bundleTests(join(target, "tests/boots"));
  await runProgram("cp", ["-r", pkiDir, join(target, "pki")]);
  await addInstaller(system.root, target);
  if (BOOTS[system.release].some(({ needsPackages }) => needsPackages)) {
    await makeServerPackages(join(target, "packages"));
  }
}

/** Puts what an operator has on a host before the installation, and the unit that runs the tests. */
async function addInstaller(root: string, target: string): Promise<void> {
  await Deno.symlink("build/test-bin", join(target, "bin"));
  await runProgram("cp", ["-r", join(ROOT, "deploy"), target]);
  const unit = "guest-tests.service";
  await Deno.copyFile(join(ROOT, "tests/vm", unit), join(root, "etc/systemd/system", unit));
}

async function bundleTests(folder: string): Promise<void> {
  await bundle({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.map((name) => `tests/vm/${name}.ts`),
    outdir: folder,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    banner: { js: BANNER },
    logLevel: "warning",
  });
}
