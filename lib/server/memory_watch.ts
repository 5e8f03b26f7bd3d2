/** Decides when the server's memory has grown so far that a new process should replace it. */

/** By then the clients of an earlier process are back, so that their load counts as part of the start. */
const SETTLED_AFTER_MS = 10_000;

/** The least growth since the start, as a part of the limit. */
const GROWTH_SHARE = 1 / 4;

/** Decides by the figures that it is given; reads nothing itself. */
export class MemoryWatch {
  readonly #limitBytes: number;
  /** When the first figure was given. */
  #sinceMs: number | undefined;
  #settledBytes: number | undefined;

  /** @param limitBytes The limit of the resident memory; Infinity: none. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /**
   * Whether the memory is above the limit, and a quarter of the limit has come since the start.
   * Where the load alone takes more than the limit, a new process would take as much: then the
   * server is not replaced, so that it does not restart for ever.
   *
   * @param residentBytes The present resident memory.
   * @param nowMs The present, by a monotonic clock.
   */
  isTimeToHandOver(residentBytes: number, nowMs: number): boolean {
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs < SETTLED_AFTER_MS) return false;
    this.#settledBytes ??= residentBytes;
    const grownBytes = residentBytes - this.#settledBytes;
    return residentBytes > this.#limitBytes && grownBytes >= this.#limitBytes * GROWTH_SHARE;
  }
}
