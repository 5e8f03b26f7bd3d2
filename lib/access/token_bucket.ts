/** What may be done at once, and comes back evenly. Pure. */

/** A bucket of tokens, full at first. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  /**
   * @param bounds How many it holds, and how many come back in a second; Infinity: no bound.
   * @param nowMs A clock that never goes back, here and below.
   */
  constructor({ capacity, perSecond }: { capacity: number; perSecond: number }, nowMs: number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  /** Since when nothing was earned. */
  get atMs(): number {
    return this.#atMs;
  }

  /** Puts back what has come since the last time. */
  earn(nowMs: number): void {
    // Infinity times no time is no number.
    const earned = this.#perSecond === Infinity ? 0 : (nowMs - this.#atMs) / 1000 * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#atMs = nowMs;
  }

  /** Takes one; false: there is none left, and none is taken. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
