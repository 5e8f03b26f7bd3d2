/** No wait without an end: a storm that stands still fails, and says what was under way. */
import { until } from "../../tests/support/wait.ts";

/** What takes longer stands still: the slowest of it, the start of a server, fails after half of it. */
const LONGEST_MS = 60_000;

/** Knows what is under way, and since when. */
export class Watch {
  readonly #longestMs: number;
  readonly #underWay = new Map<symbol, { what: string; beganMs: number }>();

  constructor(longestMs = LONGEST_MS) {
    this.#longestMs = longestMs;
  }

  /**
   * Waits for a promise, and no longer than a minute.
   *
   * @param what Is waited for, as it is named in an error.
   * @throws {Error} It was not done in time; the message names all that was under way by then.
   */
  async inTime<T>(what: string, promise: Promise<T>): Promise<T> {
    const entry = Symbol(what);
    this.#underWay.set(entry, { what, beganMs: performance.now() });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`It stands still. Under way: ${this.describe()}`)),
        this.#longestMs,
      );
    });
    try {
      return await Promise.race([promise, late]);
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
    await until("what is under way to end", isCalm, this.#longestMs);
  }

  /** What is under way, the oldest first, each with its seconds. */
  describe(): string {
    const nowMs = performance.now();
    return [...this.#underWay.values()]
      .map(({ what, beganMs }) => `${what} (${Math.round((nowMs - beganMs) / 1000)} s)`)
      .join(", ");
  }
}
