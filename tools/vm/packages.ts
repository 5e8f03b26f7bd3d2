/** The server's Debian packages for a guest: one that it installs, and one that it upgrades to. */
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { targetOf } from "../build/targets.ts";
import { makePackage } from "../release/deb.ts";

/** By folder, the version of the package in it. */
const VERSIONS = { before: config.version, after: `${config.version}.1` };

/**
 * The program in them: an emulated processor would take a minute to unpack 100 MB twice, which
 * tests/integration/package_test.ts has on a real one.
 */
const PROGRAM = '#!/bin/sh\nexec /opt/job-worker/bin/worker-server "$@"\n';

/**
 * Makes the packages, each in a folder of its own. All in them is as released, but that the program is
 * a script that becomes the one in the guest.
 *
 * @param parentFolder Where the folders `before` and `after` go.
 */
export async function makeServerPackages(parentFolder: string): Promise<void> {
  const binDir = await Deno.makeTempDir({ prefix: "job-worker-vm-" });
  try {
    await Deno.writeTextFile(join(binDir, "worker-server"), PROGRAM);
    for (const [name, version] of Object.entries(VERSIONS)) {
      const outDir = join(parentFolder, name);
      await Deno.mkdir(outDir, { recursive: true });
      await makePackage("worker-server", {
        target: targetOf(Deno.build.target),
        binDir,
        version,
        commitTime: 0,
        committer: "Guest <root@guest>",
        licences: "",
      }, { outDir, compression: ["-Znone"] });
    }
  } finally {
    await Deno.remove(binDir, { recursive: true });
  }
}
