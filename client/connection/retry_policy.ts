/** How long a broken stream is tried again unless the caller says otherwise: a host can reboot in it. */
export const DEFAULT_RETRY_FOR_MS = 10 * 60_000;

/** The delay before the first retry; each further one is twice as long. */
const FIRST_DELAY_MS = 250;

/** The longest delay between two tries. */
const MAX_DELAY_MS = 5_000;

/** What a retry policy may be told besides its time. */
export interface RetryPolicyOptions {
  /** The longest delay, in milliseconds; five seconds unless given. */
  readonly maxDelayMs?: number;
  /** A monotonic clock, in milliseconds. */
  readonly clock?: () => number;
}

/** Exponential backoff with jitter, limited in time. */
export class RetryPolicy {
  readonly #retryForMs: number;
  readonly #maxDelayMs: number;
  readonly #clock: () => number;
  #delayMs = FIRST_DELAY_MS;
  #failedAtMs: number | undefined;

  /** @param retryForMs How long after the first failure a retry may still begin; 0: no retry. */
  constructor(
    retryForMs: number,
    { maxDelayMs = MAX_DELAY_MS, clock = () => performance.now() }: RetryPolicyOptions = {},
  ) {
    this.#retryForMs = retryForMs;
    this.#maxDelayMs = maxDelayMs;
    this.#clock = clock;
  }

  /** Whether something failed since the last success. */
  get hasFailed(): boolean {
    return this.#failedAtMs !== undefined;
  }

  /** Notes a success: the next failure starts with the first delay and the whole time. */
  reset(): void {
    this.#failedAtMs = undefined;
    this.#delayMs = FIRST_DELAY_MS;
  }

  /**
   * Notes a failure.
   *
   * @returns Milliseconds to wait before the next try; undefined when the time is over.
   */
  nextDelayMs(): number | undefined {
    const nowMs = this.#clock();
    this.#failedAtMs ??= nowMs;
    // Half of the delay is random, so that the clients of one server do not all return at once.
    const delayMs = this.#delayMs * (0.5 + Math.random() / 2);
    this.#delayMs = Math.min(this.#delayMs * 2, this.#maxDelayMs);
    return nowMs - this.#failedAtMs + delayMs < this.#retryForMs ? delayMs : undefined;
  }
}
