/** Waits for the disk in the background, one wait for all who have come meanwhile. */
import { setTimeout as delay } from "node:timers/promises";

/**
 * Between two waits' beginnings. A wait takes the processor a tenth of a millisecond or more, so
 * that many changes in a short time would cost more for these than for all else.
 */
const MIN_INTERVAL_MS = 5;

/** The write-ahead log of a database, brought to the disk on demand. */
export class LogSync {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  #lastMs = -Infinity;
  /** The wait that has begun. */
  #running: Promise<void> | undefined;
  /** The one that will begin after it, and has in it what was written meanwhile. */
  #next: Promise<void> | undefined;

  /**
   * @param path The log. It is SQLite that makes it, and not before it writes for the first time, so
   * it is opened at the first wait.
   */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Settles when all that has been written before is on the disk.
   *
   * @throws When the disk fails.
   */
  sync(): Promise<void> {
    return this.#next ??= this.#run(this.#running);
  }

  /** Closes the file. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  async #run(previous: Promise<void> | undefined): Promise<void> {
    await previous?.catch(() => {}); // Whoever waits for that one hears of it.
    const pauseMs = this.#lastMs + MIN_INTERVAL_MS - performance.now();
    if (pauseMs > 0) await delay(pauseMs);
    this.#lastMs = performance.now();
    this.#running = this.#next;
    this.#next = undefined;
    this.#file ??= Deno.openSync(this.#path, { write: true });
    await this.#file.syncData();
  }
}
