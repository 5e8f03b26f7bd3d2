/** When the server's memory has grown so far that a fresh process should go on in its place. */

/** By then the clients of an earlier process are back, so that their load counts as the start's. */
const SETTLED_AFTER_MS = 10_000;

/** What has to have come since the start, as a part of the limit. */
const GROWTH_SHARE = 1 / 4;

/** Judges a process by what it is told; looks at nothing itself. */
export class MemoryWatch {
  readonly #limitBytes: number;
  /** When the first look was. */
  #sinceMs: number | undefined;
  #settledBytes: number | undefined;

  /** @param limitBytes What the resident memory should stay below; Infinity: no limit. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /**
   * Whether the memory is past the limit, and much of it has come since the start. Where the load
   * alone takes more than the limit, a fresh process would take as much: it is not asked for, so
   * that the server does not restart for ever.
   *
   * @param residentBytes The resident memory as it is now.
   * @param nowMs Now, by a clock that does not jump.
   */
  isTimeToHandOver(residentBytes: number, nowMs: number): boolean {
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs < SETTLED_AFTER_MS) return false;
    this.#settledBytes ??= residentBytes;
    const grownBytes = residentBytes - this.#settledBytes;
    return residentBytes > this.#limitBytes && grownBytes >= this.#limitBytes * GROWTH_SHARE;
  }
}
