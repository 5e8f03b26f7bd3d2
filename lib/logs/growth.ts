/**
 * Tells readers that a file has grown. Asleep until inotify wakes it; then, since a writer may make a
 * hundred thousand small writes a second and an event for each would cost more than the reading, it
 * looks at the size on a timer until the file has been quiet for a while.
 */
import { setTimeout as delay } from "node:timers/promises";

/** How often the size is looked at while the file grows: the delay that a reader feels. */
const GROWING_INTERVAL_MS = 4;

/** So many looks without growth, and inotify takes over again. */
const QUIET_LOOKS = 25;

/** The interval where the host has no inotify instance left (fs.inotify.max_user_instances). */
const WITHOUT_INOTIFY_INTERVAL_MS = 100;

/** The host's default bound is 128 for all of a user's programs; half of it is left to others. */
const MAX_WATCHERS = 64;

let watchers = 0;

interface Waiter {
  size: number;
  wake: () => void;
}

/** The growth of one file. */
export class GrowthSignal {
  readonly #path: string;
  readonly #waiters = new Set<Waiter>();
  #finished = false;
  #isWatching = false;
  #watcher: Deno.FsWatcher | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Says that the file will not grow any more, and wakes all. */
  finish(): void {
    this.#finished = true;
    this.#wakeUp();
    for (const waiter of this.#waiters) waiter.wake();
  }

  /** Waits until the file is larger than `size`, will not grow, or the signal is aborted. */
  beyond(size: number, signal: AbortSignal): Promise<void> {
    if (this.#finished || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter: Waiter = {
        size,
        wake: () => {
          this.#waiters.delete(waiter);
          signal.removeEventListener("abort", waiter.wake);
          if (this.#waiters.size === 0) this.#wakeUp();
          resolve();
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", waiter.wake);
      if (!this.#isWatching) void this.#watch();
    });
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    let quietLooks = 0;
    let lastSize = -1;
    while (!this.#finished && (this.#waiters.size > 0 || quietLooks < QUIET_LOOKS)) {
      const size = await this.#wakeReaders();
      quietLooks = size === lastSize ? quietLooks + 1 : 0;
      lastSize = size;
      if (quietLooks < QUIET_LOOKS) await delay(GROWING_INTERVAL_MS);
      else if (this.#waiters.size > 0) await this.#sleepUntilWritten(size);
    }
    this.#isWatching = false;
  }

  /** @returns The file's size; 0 when it is gone. */
  async #wakeReaders(): Promise<number> {
    let size = 0;
    try {
      size = (await Deno.stat(this.#path)).size;
    } catch {
      // The file was removed: it grows no more, and its readers wait for the job's end.
    }
    for (const waiter of [...this.#waiters]) if (size > waiter.size) waiter.wake();
    return size;
  }

  async #sleepUntilWritten(size: number): Promise<void> {
    if (watchers >= MAX_WATCHERS) return await delay(WITHOUT_INOTIFY_INTERVAL_MS);
    try {
      this.#watcher = Deno.watchFs(this.#path);
    } catch {
      return await delay(WITHOUT_INOTIFY_INTERVAL_MS);
    }
    watchers++;
    try {
      const events = this.#watcher[Symbol.asyncIterator]();
      // What was written between the last look and the watch's beginning makes no event.
      if (await this.#wakeReaders() === size && !this.#finished) await events.next();
    } finally {
      watchers--;
      this.#wakeUp();
    }
  }

  #wakeUp(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
