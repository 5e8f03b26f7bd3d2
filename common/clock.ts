/** The time of day, and timers: an interface, so that tests can have a clock of their own. */

/** What the runtime's timers take at most, in milliseconds; a longer one would fire at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Tells the time and runs timers. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;

  /**
   * Calls back once.
   *
   * @param delayMs At most {@linkcode LONGEST_TIMER_MS}.
   * @returns Cancels the timer; may be called at any time.
   */
  after(delayMs: number, callback: () => void): () => void;
}

/** The clock of this host. */
export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
