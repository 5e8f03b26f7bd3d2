/** A rate limit that allows bursts: the token bucket. Pure. */

/** A bucket of tokens, full at first. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  /**
   * @param bounds How many tokens it holds, and how many are added in a second; Infinity: no bound.
   * @param nowMs A clock in milliseconds that never goes back, here and below.
   */
  constructor({ capacity, perSecond }: { capacity: number; perSecond: number }, nowMs: number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  /** When tokens were added the last time. */
  get atMs(): number {
    return this.#atMs;
  }

  /** Adds the tokens for the time since the last call, up to the capacity. */
  earn(nowMs: number): void {
    // Infinity * 0 is NaN.
    const earned = this.#perSecond === Infinity ? 0 : (nowMs - this.#atMs) / 1000 * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#atMs = nowMs;
  }

  /** Puts a token back that was taken. */
  giveBack(): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + 1);
  }

  /** Takes one token; false where there is none. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
