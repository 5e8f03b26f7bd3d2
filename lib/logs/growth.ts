/**
 * Tells readers that a file has grown. It waits for inotify; after an event it checks the size on a
 * timer until the file has not grown for a while. A writer may make a hundred thousand small writes a
 * second: an event for each would cost more than the reading. What another machine writes makes no
 * event: such a file is opened anew and looked at, while somebody waits.
 */
/** How often the size is checked while the file grows: the delay of a reader. */
const GROWING_INTERVAL_MS = 4;

/** After this many checks without growth it waits for inotify again. */
const MAX_QUIET_CHECKS = 25;

/** How often the size is checked where the host has no inotify instance left. */
const WITHOUT_INOTIFY_INTERVAL_MS = 100;

/** How often the size of a file that another machine writes is checked while it grows. */
const MIN_POLLING_INTERVAL_MS = 20;

/** The same of one that has not grown for long. */
const MAX_POLLING_INTERVAL_MS = 250;

/** Each check without growth makes the next interval so many times as long. */
const POLLING_GROWTH = 1.25;

/** Half of the host's default bound for all programs of a user (fs.inotify.max_user_instances). */
const MAX_WATCHERS = 64;

let watchers = 0;

/** How news of a file's growth comes: by inotify, or by looking. */
export type GrowthNews = "events" | "polling";

interface Waiter {
  size: number;
  wake: () => void;
}

/** The growth of one file. */
export class GrowthSignal {
  readonly #path: string;
  readonly #news: GrowthNews;
  readonly #waiters = new Set<Waiter>();
  #finished = false;
  #isWatching = false;
  #watcher: Deno.FsWatcher | undefined;
  #endPause: (() => void) | undefined;

  /** @param news "polling" for a file that another machine writes. */
  constructor(path: string, news: GrowthNews = "events") {
    this.#path = path;
    this.#news = news;
  }

  /** Tells that the file will not grow any more, and wakes all readers. */
  finish(): void {
    this.#finished = true;
    this.#wakeUp();
    this.#endPause?.();
    for (const waiter of this.#waiters) waiter.wake();
  }

  /** Waits until the file is larger than `size` bytes, will not grow, or the signal is aborted. */
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
      if (!this.#isWatching) void (this.#news === "polling" ? this.#poll() : this.#watch());
    });
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    let quietChecks = 0;
    let lastSize = -1;
    while (!this.#finished && (this.#waiters.size > 0 || quietChecks < MAX_QUIET_CHECKS)) {
      const size = await this.#wakeReaders();
      quietChecks = size === lastSize ? quietChecks + 1 : 0;
      lastSize = size;
      if (quietChecks < MAX_QUIET_CHECKS) await this.#pause(GROWING_INTERVAL_MS);
      else if (this.#waiters.size > 0) await this.#sleepUntilWritten(size);
    }
    this.#isWatching = false;
  }

  async #poll(): Promise<void> {
    this.#isWatching = true;
    let intervalMs = MIN_POLLING_INTERVAL_MS;
    let lastSize = -1;
    while (!this.#finished && this.#waiters.size > 0) {
      const size = await this.#wakeReaders();
      intervalMs = size === lastSize
        ? Math.min(intervalMs * POLLING_GROWTH, MAX_POLLING_INTERVAL_MS)
        : MIN_POLLING_INTERVAL_MS;
      lastSize = size;
      await this.#pause(intervalMs);
    }
    this.#isWatching = false;
  }

  /** @returns The file's size; 0 when it is gone. */
  async #wakeReaders(): Promise<number> {
    let size = 0;
    try {
      size = this.#news === "polling" ? await reopenedSize(this.#path) : await statSize(this.#path);
    } catch {
      // The file was removed: it does not grow, and its readers wait for the job's end.
    }
    for (const waiter of [...this.#waiters]) if (size > waiter.size) waiter.wake();
    return size;
  }

  async #sleepUntilWritten(size: number): Promise<void> {
    if (watchers >= MAX_WATCHERS) return await this.#pause(WITHOUT_INOTIFY_INTERVAL_MS);
    try {
      this.#watcher = Deno.watchFs(this.#path);
    } catch {
      return await this.#pause(WITHOUT_INOTIFY_INTERVAL_MS);
    }
    watchers++;
    try {
      const events = this.#watcher[Symbol.asyncIterator]();
      // What was written between the last check and the beginning of the watch makes no event.
      if (await this.#wakeReaders() === size && !this.#finished) await events.next();
    } finally {
      watchers--;
      this.#wakeUp();
    }
  }

  /** Waits for some milliseconds; {@linkcode finish} ends it early. */
  async #pause(pauseMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #wakeUp(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}

async function statSize(path: string): Promise<number> {
  return (await Deno.stat(path)).size;
}

/** To open a file makes a network file system look at its server's copy; to ask for its size may not. */
async function reopenedSize(path: string): Promise<number> {
  using file = await Deno.open(path);
  return (await file.stat()).size;
}
