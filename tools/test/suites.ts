/** The suites that run as one command: unit tests, and tests in guests. */
import { exists, testFiles } from "./files.ts";
import { runDeno } from "./deno.ts";
import { dealOut } from "./lanes.ts";
import { FileTimer, readDurations, readTally, readTotal, readUnexplained } from "./output.ts";
import type { Report } from "./report.ts";

/** Bounds the time of each test. */
export const PRELOAD = "--preload=tests/support/test_timeout.ts";

/** Unit tests need no network, so they get none. */
export const UNIT_PERMISSIONS: readonly string[] = ["read", "write", "env", "run", "sys"]
  .map((name) => `--allow-${name}`);

/** A suite that runs longer than this hangs: it is ended and has failed. */
const UNIT_TIMEOUT_MS = 10 * 60_000;
const GUESTS_TIMEOUT_MS = 40 * 60_000;

/** Two a processor would save some seconds, and make tests fail that wait for shells. */
const UNIT_PROCESSES = navigator.hardwareConcurrency;

/** Runs the unit tests: some processes, each with its part of the files; what is filtered, in one. */
export async function runUnit(report: Report, filter: string | undefined): Promise<void> {
  console.log("\n== unit tests");
  if (filter !== undefined) {
    return await runUnitProcess(report, await filterArguments("tests/unit", filter), true);
  }
  const parts = dealOut(await testFiles("tests/unit"), UNIT_PROCESSES);
  await Promise.all(parts.map((files) => runUnitProcess(report, files, false)));
}

/** Runs unit tests in one process, and shows what they print: as it comes, or in one piece. */
async function runUnitProcess(
  report: Report,
  files: readonly string[],
  isShown: boolean,
): Promise<void> {
  const timer = new FileTimer();
  const { output, succeeded } = await runDeno(
    [
      "test",
      "--no-check",
      ...UNIT_PERMISSIONS,
      PRELOAD,
      ...files,
    ],
    { isShown, timeoutMs: UNIT_TIMEOUT_MS, onOutput: (text) => timer.add(text) },
  );
  if (!isShown) console.log(`\n${output.trimEnd()}`);
  addTests(report, "unit tests", { output, succeeded });
  report.took(...timer.durations);
}

/** The arguments that choose the tests of a folder: a file, or all with a part of a name. */
async function filterArguments(folder: string, filter: string): Promise<string[]> {
  const file = `${folder}/${filter}_test.ts`;
  return await exists(file) ? [file] : [`--filter=${filter}`, folder];
}

/** Counts what `deno test` printed; a test that is ignored without a reason is a failure. */
export function addTests(
  report: Report,
  name: string,
  { output, succeeded }: { output: string; succeeded: boolean },
): void {
  report.add(name, readTally(output, succeeded), output);
  const unexplained = readUnexplained(output);
  if (unexplained.length > 0) {
    report.settle(`reasons for ignoring ${unexplained.join(", ")}`, false);
  }
}

/** Runs the tests in guests; their runner says at the end what they came to. */
export async function runGuests(report: Report, filter: string | undefined): Promise<void> {
  console.log("\n== guest tests");
  const { output, succeeded } = await runDeno(
    ["run", "--allow-all", "tools/vm/main.ts", ...(filter === undefined ? [] : [filter])],
    { isShown: true, timeoutMs: GUESTS_TIMEOUT_MS },
  );
  report.note(readDurations(output));
  report.add("guest tests", readTotal(output, succeeded), output);
}
