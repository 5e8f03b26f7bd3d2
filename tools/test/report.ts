/** What a run of tests comes to: counts, failures, skips with their reasons, durations. */
import { type Duration, readFailures, readSkips, slowest, type Tally, tookLine } from "./output.ts";

/** How many of the slowest parts are named at the end. */
const SHOWN_DURATIONS = 10;

/** Collects what the parts of a run come to, and says it at the end. */
export class Report {
  readonly #failures: string[] = [];
  readonly #skips: string[] = [];
  readonly #durations: Duration[] = [];
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  /** Whether nothing has failed. */
  get isGood(): boolean {
    return this.#failed === 0;
  }

  /** Counts a part that passes or fails as a whole as one test. */
  settle(name: string, passed: boolean): void {
    if (passed) {
      this.#passed++;
    } else {
      this.#failed++;
      this.#failures.push(name);
    }
    console.log(`${name} ... ${passed ? "ok" : "FAILED"}`);
  }

  /** Adds what tests came to, and notes why some were skipped. */
  add(name: string, tally: Tally, output: string): void {
    this.#passed += tally.passed;
    this.#failed += tally.failed;
    this.#skipped += tally.skipped;
    if (tally.failed > 0) this.#noteFailures(name, tally.failed, readFailures(output));
    this.#skips.push(...readSkips(output));
  }

  /** Names each test that failed, since a log is often kept and read by its end alone. */
  #noteFailures(name: string, count: number, named: readonly string[]): void {
    this.#failures.push(...named.map((failure) => `${name}: ${failure}`));
    if (named.length < count) {
      this.#failures.push(`${name} (${count - named.length} failed without a name, see above)`);
    }
  }

  /** Notes how long parts took, and prints it. */
  took(...durations: readonly Duration[]): void {
    this.#durations.push(...durations);
    for (const duration of durations) console.log(tookLine(duration));
  }

  /** Notes durations that were printed before. */
  note(durations: readonly Duration[]): void {
    this.#durations.push(...durations);
  }

  /** Prints the slowest parts, the skips, the failures and, as the last line, the counts. */
  print(wholeMs: number): void {
    const shown = slowest(this.#durations, SHOWN_DURATIONS);
    console.log(`\nthe ${shown.length} slowest parts of ${this.#durations.length}:`);
    for (const duration of shown) console.log(tookLine(duration));
    console.log(tookLine({ name: "the whole run", ms: wholeMs }));
    for (const line of this.#skips) console.log(line);
    for (const name of this.#failures) console.log(`FAILED ${name}`);
    console.log(`${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
  }
}
