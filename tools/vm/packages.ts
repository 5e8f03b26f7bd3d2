/** The server's Debian packages for a guest: one that it installs, and one that it upgrades to. */
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { targetOf } from "../build/targets.ts";
import { makePackage } from "../release/deb.ts";

/** By folder, the version of the package in it. */
const VERSIONS = { before: config.version, after: `${config.version}.1` };

/** Not compressed: an emulated processor would take long to unpack it. */
const COMPRESSION = ["-Znone"];

/**
 * Makes the packages, each in a folder of its own.
 *
 * @param binDir Where the binaries are: both packages have the same.
 * @param parentFolder Where the folders `before` and `after` go.
 */
export async function makeServerPackages(binDir: string, parentFolder: string): Promise<void> {
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
    }, { outDir, compression: COMPRESSION });
  }
}
