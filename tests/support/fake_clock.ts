/** A fake clock: it stands still until a test moves it, and runs the timers that are due. */
import { type Clock, LONGEST_TIMER_MS } from "../../common/clock.ts";

/** More timers than any test sets on purpose. */
const MAX_TIMERS = 1000;

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Begins at a time of its own. Like the runtime's, a timer that is too long fires at once. */
export class FakeClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + (delayMs > LONGEST_TIMER_MS ? 0 : delayMs), callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** When each timer is due, in milliseconds from now, the next one first. */
  get pendingMs(): number[] {
    return [...this.#timers].map(({ dueMs }) => dueMs - this.#nowMs).sort((one, two) => one - two);
  }

  /** Forgets all timers, as the end of a process does. */
  clear(): void {
    this.#timers.clear();
  }

  /** Moves on, and runs each timer on the way at its time, those that are set meanwhile as well. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let count = 0; count < MAX_TIMERS; count++) {
      const [next] = [...this.#timers].filter(({ dueMs }) => dueMs <= endMs)
        .sort((one, two) => one.dueMs - two.dueMs);
      if (next === undefined) {
        this.#nowMs = endMs;
        return;
      }
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    throw new Error("the timers set each other without end");
  }
}
