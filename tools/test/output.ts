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
const FAILURE =
  /^(?:\w+ \| )?(.+?) (?:=> \S+:\d+:\d+|\(uncaught error\))\n(?:\w+ \| )?error: (.*)$/gm;
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

/** The tests that failed, each with the first line of its error; lines may begin with a guest's name. */
export function readFailures(output: string): string[] {
  return [...output.matchAll(FAILURE)].map(([, name, error]) => `${name}: ${error}`);
}

/** The lines `SKIP name: reason` by which tests/support/skip.ts says what cannot run here. */
export function readSkips(output: string): string[] {
  return [...output.matchAll(SKIP)].map(([line]) => line);
}

/** Names of ignored tests for which no reason was printed. */
export function readUnexplained(output: string): string[] {
  const explained = readSkips(output);
  const ignored = [...output.matchAll(IGNORED)].map(([, name]) => name ?? "");
  return ignored.filter((name) => !explained.some((line) => line.startsWith(`SKIP ${name}: `)));
}

/** How long a file of tests, or a guest, took. */
export interface Duration {
  readonly name: string;
  readonly ms: number;
}

const FILE_BEGINS = /^running \d+ tests? from (?:\.\/)?(\S+)$/;
const SUMMARY_LINE = /^(?:ok|FAILED) \| \d+ passed/;

/** Times the files of a run of `deno test` by when its lines arrive. */
export class FileTimer {
  readonly #now: () => number;
  readonly #durations: Duration[] = [];
  #file: string | undefined;
  #beganMs: number;
  #rest = "";

  /** @param now A clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#beganMs = now();
  }

  /** Takes what has arrived of the output; a line counts once it is whole. */
  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, file] = FILE_BEGINS.exec(line) ?? [];
      if (file === undefined && !SUMMARY_LINE.test(line)) continue;
      this.#finish();
      this.#file = file;
    }
  }

  /** The files that have ended, in their order; loading a file counts for the one before it. */
  get durations(): readonly Duration[] {
    return this.#durations;
  }

  #finish(): void {
    const nowMs = this.#now();
    if (this.#file !== undefined) {
      this.#durations.push({ name: this.#file, ms: nowMs - this.#beganMs });
    }
    this.#beganMs = nowMs;
  }
}

const TOOK = /^took (\d+(?:\.\d+)?) s: (.+)$/gm;

/** The line by which a run says how long a part of it took. */
export function tookLine({ name, ms }: Duration): string {
  return `took ${(ms / 1000).toFixed(1)} s: ${name}`;
}

/** Reads the lines of {@linkcode tookLine}. */
export function readDurations(output: string): Duration[] {
  return [...output.matchAll(TOOK)].map(([, seconds, name]) => ({
    name: name ?? "",
    ms: Number(seconds) * 1000,
  }));
}

/** The ones that took longest, the longest first. */
export function slowest(durations: readonly Duration[], count: number): Duration[] {
  return durations.toSorted((a, b) => b.ms - a.ms).slice(0, count);
}
