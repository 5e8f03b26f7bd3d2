/** Time that a test moves: timers and `performance.now()` of this process stand still otherwise. */

interface Timer {
  readonly run: () => void;
  readonly repeatMs: number | undefined;
  dueMs: number;
}

const { setTimeout: realSetTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
const REAL_TIMERS = { setTimeout: realSetTimeout, clearTimeout, setInterval, clearInterval };
const realNow = performance.now;

/** Replaces the timers until it is disposed of; the last one that was made holds. */
export class FakeTime implements Disposable {
  readonly #timers = new Map<number, Timer>();
  #lastID = 0;
  #nowMs = 1_000;

  constructor() {
    const add = (run: () => void, delayMs = 0, repeatMs?: number) => {
      this.#lastID += 1;
      this.#timers.set(this.#lastID, { run, repeatMs, dueMs: this.#nowMs + delayMs });
      return this.#lastID;
    };
    const clear = (id?: unknown) => void this.#timers.delete(id as number);
    Object.assign(globalThis, {
      setTimeout: (run: () => void, delayMs?: number) => add(run, delayMs),
      setInterval: (run: () => void, delayMs?: number) => add(run, delayMs, delayMs ?? 0),
      clearTimeout: clear,
      clearInterval: clear,
    });
    performance.now = () => this.#nowMs;
  }

  /** How many timers are set. */
  get pendingCount(): number {
    return this.#timers.size;
  }

  /** Lets everything run that does not wait for time. */
  async settle(): Promise<void> {
    await new Promise<void>((resolve) => realSetTimeout(resolve, 0));
  }

  /** Moves the time on by this many milliseconds; timers run in the order in which they are due. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await this.settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { dueMs }]) => dueMs <= endMs)
        .sort(([, one], [, other]) => one.dueMs - other.dueMs)[0];
      if (due === undefined) break;
      const [id, timer] = due;
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      if (timer.repeatMs === undefined) this.#timers.delete(id);
      else timer.dueMs += Math.max(1, timer.repeatMs);
      timer.run();
      await this.settle();
    }
    this.#nowMs = endMs;
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, REAL_TIMERS);
    performance.now = realNow;
  }
}
