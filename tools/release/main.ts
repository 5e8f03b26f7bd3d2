/**
 * Makes a release of the commit that is checked out: the archive, and on Debian the packages.
 *
 * Usage: deno task release [--target TRIPLE] [--out DIR]
 */
import { stop as stopBundler } from "esbuild";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import { runBuild } from "../build/run.ts";
import { targetOf } from "../build/targets.ts";
import { DEFAULT_LOG_DIR } from "../log_directory.ts";
import { makeArchive, SMALLEST_LEVEL } from "./archive.ts";
import { readCommit } from "./commit.ts";
import { isInstalled } from "../installed.ts";
import { makePackages, SMALL } from "./deb.ts";
import { licencesOf } from "./licences.ts";
import { hasPackages } from "./package_texts.ts";
import type { Release } from "./tree.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

function report(line: string): void {
  console.error(`release: ${line}`);
}

async function makeRelease(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { target: { type: "string" }, out: { type: "string" } },
  });
  const target = targetOf(values.target ?? Deno.build.target);
  const outDir = resolve(values.out ?? join(ROOT, "build", "release"));
  const binDir = join(outDir, "bin", target.triple);
  await Deno.mkdir(binDir, { recursive: true });
  await runBuild(binDir, { target: target.triple, logDir: DEFAULT_LOG_DIR });
  const release: Release = {
    target,
    binDir,
    version: config.version,
    ...await readCommit(),
    licences: await licencesOf(target.binaries),
  };
  if (!hasPackages(target)) report("no packages: Debian is Linux");
  else if (!await isInstalled("dpkg-deb")) report("no packages: there is no dpkg-deb on this host");
  else {
    report("compressing the packages, which takes some minutes");
    for (const file of await makePackages(release, { outDir, compression: SMALL })) {
      report(`made ${file}`);
    }
  }
  report("compressing the archive, which takes some minutes");
  report(`made ${await makeArchive(release, { outDir, level: SMALLEST_LEVEL })}`);
}

if (import.meta.main) {
  try {
    await makeRelease(Deno.args);
  } catch (error) {
    report(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  } finally {
    await stopBundler();
  }
}
