/** The suites that run as one command: unit tests, and tests in guests. */
import { exists } from "./files.ts";
import { runDeno } from "./deno.ts";
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

/** Runs the unit tests in one process, and shows what they print as it comes. */
export async function runUnit(report: Report, filter: string | undefined): Promise<void> {
  console.log("\n== unit tests");
  const timer = new FileTimer();
  const { output, succeeded } = await runDeno(
    [
      "test",
      "--no-check",
      ...UNIT_PERMISSIONS,
      PRELOAD,
      ...await filterArguments("tests/unit", filter),
    ],
    { isShown: true, timeoutMs: UNIT_TIMEOUT_MS, onOutput: (text) => timer.add(text) },
  );
  addTests(report, "unit tests", { output, succeeded });
  report.took(...timer.durations);
}

/** The arguments that choose the tests of a folder: a file, or all with a part of a name. */
async function filterArguments(folder: string, filter: string | undefined): Promise<string[]> {
  if (filter === undefined) return [folder];
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
