/** Programs that make and run guests, installed where that can be done. */
import { isInstalled } from "../installed.ts";
import { runProgram } from "../run_program.ts";
import { QEMU } from "./boot.ts";
import { GuestSystemError } from "./root.ts";

/** By program, the Debian package that has it. */
const PROGRAMS = {
  [QEMU]: "qemu-system-x86",
  "mke2fs": "e2fsprogs",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "tar": "tar",
  "xz": "xz-utils",
};

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
export async function installPrograms(): Promise<void> {
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
