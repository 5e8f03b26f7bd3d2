import { unlessAborted } from "./abort.ts";

/** How long a broken stream is tried again when nobody says: a reboot of the server's host fits. */
export const DEFAULT_RETRY_FOR_MS = 10 * 60_000;

/** The first pause between two tries; each is twice the one before. */
const FIRST_PAUSE_MS = 250;

/** The longest pause between two tries. */
const LONGEST_PAUSE_MS = 5_000;

/** How long to go on trying, and when: exponential back-off with jitter and a bound in time. */
export class Patience {
  readonly #forMs: number;
  readonly #longestPauseMs: number;
  #pauseMs = FIRST_PAUSE_MS;
  #sinceMs: number | undefined;

  /**
   * @param forMs How long after the first failure another try may still begin; 0: none.
   * @param options The longest pause, in milliseconds, where it is not five seconds.
   */
  constructor(forMs: number, { longestPauseMs = LONGEST_PAUSE_MS } = {}) {
    this.#forMs = forMs;
    this.#longestPauseMs = longestPauseMs;
  }

  /** Whether something failed since the last success. */
  get isTried(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** Forgets the failures: what comes next is a new trouble with its own time. */
  reset(): void {
    this.#sinceMs = undefined;
    this.#pauseMs = FIRST_PAUSE_MS;
  }

  /**
   * Notes a failure.
   *
   * @returns Milliseconds to pause before another try, or nothing when the time is up.
   */
  nextPauseMs(): number | undefined {
    const nowMs = performance.now();
    this.#sinceMs ??= nowMs;
    // Half of it is chance, so that many clients of one server do not come back all at once.
    const pauseMs = this.#pauseMs * (0.5 + Math.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#longestPauseMs);
    return nowMs - this.#sinceMs + pauseMs < this.#forMs ? pauseMs : undefined;
  }
}

/**
 * Waits.
 *
 * @param durationMs Milliseconds.
 * @param signal Ends the wait.
 * @throws The signal's reason.
 */
export async function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiting = new Promise<void>((resolve) => timer = setTimeout(resolve, durationMs));
  try {
    await unlessAborted(waiting, signal);
  } finally {
    clearTimeout(timer);
  }
}
