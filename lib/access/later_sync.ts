/** Brings a file to the disk a moment after it was written: once for all that was written meanwhile. */

/** How long a line may be missing after a power cut. */
const DELAY_MS = 1000;

/** Syncs on demand, one at a time: a disk that hangs holds up one of them, and nothing else. */
export class LaterSync {
  readonly #sync: () => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;
  #isWritten = false;

  /** @param sync Brings the file to the disk; must not reject. */
  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** To be called after each write. */
  written(): void {
    this.#isWritten = true;
    this.#schedule();
  }

  /** Syncs what was written, if that has not been done. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
    if (this.#isWritten) await this.#run();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#running !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, DELAY_MS);
  }

  async #run(): Promise<void> {
    this.#isWritten = false;
    this.#running = this.#sync();
    await this.#running;
    this.#running = undefined;
    if (this.#isWritten) this.#schedule();
  }
}
