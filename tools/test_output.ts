/** Reads what `deno test` prints. */

/** How many tests came to which end. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const SUMMARY =
  /^(?:ok|FAILED) \| (\d+) passed\b[^|\n]*\| (\d+) failed\b(?:[^|\n]*\| (\d+) ignored)?/gm;
const TOTAL = /^(\d+) passed, (\d+) failed, (\d+) skipped$/gm;
const SKIP = /^SKIP .+: .+$/gm;
const IGNORED = /^(.+) \.\.\. ignored\b/gm;

/**
 * Counts a run's tests by the last summary in its output, since a test may print one of its own.
 *
 * A run that failed without a failed test (a file that does not load, a crash) counts as one.
 */
export function readTally(output: string, succeeded: boolean): Tally {
  const [, passed, failed, skipped] = [...output.matchAll(SUMMARY)].at(-1) ?? [];
  const tally = { passed: Number(passed ?? 0), failed: Number(failed ?? 0) };
  return {
    passed: tally.passed,
    failed: tally.failed === 0 && !(succeeded && passed !== undefined) ? 1 : tally.failed,
    skipped: Number(skipped ?? 0),
  };
}

/** Reads the closing line `N passed, N failed, N skipped`; without one the run counts as a failure. */
export function readTotal(output: string, succeeded: boolean): Tally {
  const [, passed, failed, skipped] = [...output.matchAll(TOTAL)].at(-1) ?? [];
  const tally = { passed: Number(passed ?? 0), failed: Number(failed ?? 0) };
  const hasFailed = !succeeded || passed === undefined;
  return {
    passed: tally.passed,
    failed: tally.failed === 0 && hasFailed ? 1 : tally.failed,
    skipped: Number(skipped ?? 0),
  };
}

/** The lines `SKIP name: reason` by which tests/skip.ts says what cannot run here. */
export function readSkips(output: string): string[] {
  return [...output.matchAll(SKIP)].map(([line]) => line);
}

/** Names of ignored tests for which no reason was printed. */
export function readUnexplained(output: string): string[] {
  const explained = readSkips(output);
  const ignored = [...output.matchAll(IGNORED)].map(([, name]) => name ?? "");
  return ignored.filter((name) => !explained.some((line) => line.startsWith(`SKIP ${name}: `)));
}
