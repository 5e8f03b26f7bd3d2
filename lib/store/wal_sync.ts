/** Syncs the write-ahead log to the disk in the background, once for all callers that wait for it. */
import { setTimeout as delay } from "node:timers/promises";

/**
 * The least time from the beginning of one sync to the next. Each costs a tenth of a millisecond of
 * processor time or more, which would be the largest cost of many changes in a short time.
 */
const MIN_INTERVAL_MS = 5;

/** The write-ahead log of a database, synced to the disk on demand. */
export class WalSync {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  #lastMs = -Infinity;
  /** The sync that has begun. */
  #running: Promise<void> | undefined;
  /** The one that begins after it, and covers what was written in the meantime. */
  #next: Promise<void> | undefined;

  /**
   * @param path The log. SQLite makes it with its first write, so it is opened with the first sync.
   */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Settles when all that was written before the call is on the disk (fdatasync(2)).
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
    await previous?.catch(() => {}); // Its own callers are told of its failure.
    const pauseMs = this.#lastMs + MIN_INTERVAL_MS - performance.now();
    if (pauseMs > 0) await delay(pauseMs);
    this.#lastMs = performance.now();
    this.#running = this.#next;
    this.#next = undefined;
    this.#file ??= Deno.openSync(this.#path, { write: true });
    await this.#file.syncData();
  }
}
