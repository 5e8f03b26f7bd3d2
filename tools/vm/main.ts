/**
 * Tests the binaries on real kernels of their own with pure cgroup v2: guests under QEMU, which run
 * beside each other.
 *
 * Usage: deno task test:vm [FILTER]
 *
 * Where a guest cannot be made, its tests are skipped and the reason printed. The last line is
 * `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 */
import { stop as stopBundler } from "esbuild";
import { join, resolve } from "node:path";
import process from "node:process";
import { makePki } from "../../tests/support/pki.ts";
import { runBuild } from "../build/run.ts";
import { readTally, readUnexplained, tookLine } from "../test/output.ts";
import { type BootEnd, bootGuest } from "./boot.ts";
import { makeDisk } from "./disk.ts";
import { fillGuest } from "./fill.ts";
import { BOOTS, type GuestBoot } from "./guests.ts";
import { type Answered, countAnswers, readAnswered, toParameters } from "./power_cut.ts";
import { installPrograms } from "./programs.ts";
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

/** Room for the system, the runtime, the binaries and what tests write. */
const DISK_MIB = 2048;

/** A boot takes a few minutes on a busy machine; one that takes longer hangs. */
const BOOT_TIMEOUT_SECONDS = 15 * 60;

/** So many starts must have been answered before the power is cut. */
const STARTS_BEFORE_CUT = 40;

const total = { passed: 0, failed: 0, skipped: 0 };

/** Boots a guest, and counts what its tests came to. */
async function runBoot(
  system: GuestSystem,
  disk: string,
  boot: GuestBoot,
  before: Answered | undefined,
): Promise<Answered | undefined> {
  const name = `guest of Debian ${system.release}: ${boot.tests}`;
  const beginMs = performance.now();
  const { output, end } = await bootGuest({
    system,
    disk,
    entry: boot.entry,
    parameters: [
      `tests=${boot.tests}`,
      ...boot.parameters,
      ...(before === undefined ? [] : toParameters(before)),
    ],
    timeoutSeconds: BOOT_TIMEOUT_SECONDS,
    ...(boot.endsByPowerCut ? { cutPower: hasEnoughAnswers } : {}),
  });
  console.log(tookLine({ name, ms: performance.now() - beginMs }));
  const tally = readTally(output, /^guest: the tests ended with status 0$/m.test(output));
  total.passed += tally.passed;
  total.failed += tally.failed + readUnexplained(output).length;
  total.skipped += tally.skipped;
  return boot.endsByPowerCut ? settlePowerCut(output, end) : undefined;
}

function hasEnoughAnswers(output: string): boolean {
  return countAnswers(readAnswered(output)).starts >= STARTS_BEFORE_CUT;
}

/** Counts the power cut as a test of its own. */
function settlePowerCut(output: string, end: BootEnd): Answered {
  const answered = readAnswered(output);
  const { starts, ends } = countAnswers(answered);
  const wasCut = end === "power cut";
  if (wasCut) total.passed++;
  else total.failed++;
  const how = wasCut ? "ok" : `FAILED (${end})`;
  console.log(`power cut after ${starts} answered starts and ${ends} answered ends ... ${how}`);
  return answered;
}

async function testGuest(release: Release, filter: string): Promise<void> {
  const initScript = await Deno.readTextFile(join(ROOT, "tests/vm/initrd.sh"));
  const system = await prepareSystem(WORK_DIR, { release, initScript });
  await fillGuest(system, { binDir: BIN_DIR, pkiDir: PKI_DIR, filter });
  const disk = join(WORK_DIR, release, "disk.img");
  try {
    await makeDisk(disk, system.root, DISK_MIB);
    let answered: Answered | undefined;
    for (const boot of BOOTS[release]) answered = await runBoot(system, disk, boot, answered);
  } finally {
    await Deno.remove(disk).catch(() => {});
  }
}

async function testAll(filter: string): Promise<void> {
  await Deno.mkdir(WORK_DIR, { recursive: true });
  await skipUnlessPossible("in guests", async () => {
    await installPrograms();
    await runBuild(BIN_DIR);
    await Deno.remove(PKI_DIR, { recursive: true }).catch(() => {});
    await makePki(BIN_DIR, PKI_DIR);
    await Promise.all(
      RELEASES.map((release) =>
        skipUnlessPossible(`in a guest of Debian ${release}`, () => testGuest(release, filter))
      ),
    );
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
  await stopBundler();
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
