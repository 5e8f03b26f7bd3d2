/** No wait without an end: a storm that stands still fails, and says what was under way. */
import { until } from "../../tests/support/wait.ts";

/** While nothing is done for so long, a storm stands still. */
const LONGEST_PAUSE_MS = 60_000;

/** What takes so many pauses stands still by itself, whatever else is done: a host may be very busy. */
const LONGEST_PAUSES = 5;

/** Knows what is under way, and since when. */
export class Watch {
  readonly #longestPauseMs: number;
  readonly #underWay = new Map<symbol, { what: string; beganMs: number }>();
  #doneMs = performance.now();

  constructor(longestPauseMs = LONGEST_PAUSE_MS) {
    this.#longestPauseMs = longestPauseMs;
  }

  /**
   * Waits for a promise: for a minute, and for five while other things are done.
   *
   * @param what Is waited for, as it is named in an error.
   * @throws {Error} It was not done in time; the message names all that was under way by then.
   */
  async inTime<T>(what: string, promise: Promise<T>): Promise<T> {
    const entry = Symbol(what);
    const beganMs = performance.now();
    this.#underWay.set(entry, { what, beganMs });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const wait = () =>
        timer = setTimeout(() => {
          if (this.#isWorthWaiting(beganMs)) wait();
          else reject(new Error(`It stands still. Under way: ${this.describe()}`));
        }, this.#longestPauseMs);
      wait();
    });
    try {
      const value = await Promise.race([promise, late]);
      this.#doneMs = performance.now();
      return value;
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(entry);
    }
  }

  /** Waits for what has been under way for longer than that: on a busy host, some must be let through. */
  async calm(longestMs: number): Promise<void> {
    const latestMs = performance.now() - longestMs;
    const late = [...this.#underWay].filter(([, { beganMs }]) => beganMs < latestMs);
    const isCalm = () => late.every(([entry]) => !this.#underWay.has(entry));
    await until("what is under way to end", isCalm, (LONGEST_PAUSES + 1) * this.#longestPauseMs);
  }

  /** What is under way, the oldest first, each with its seconds. */
  describe(): string {
    const nowMs = performance.now();
    return [...this.#underWay.values()]
      .map(({ what, beganMs }) => `${what} (${Math.round((nowMs - beganMs) / 1000)} s)`)
      .join(", ");
  }

  #isWorthWaiting(beganMs: number): boolean {
    const nowMs = performance.now();
    return nowMs - this.#doneMs < this.#longestPauseMs &&
      nowMs - beganMs < LONGEST_PAUSES * this.#longestPauseMs;
  }
}
