/**
 * Tells readers that a file has grown. Each write of a slow writer is an event (inotify), so that readers
 * have it at once. A writer may make a hundred thousand small writes a second: an event for each would
 * cost more than the reading, so that the size is checked on a timer instead until the file has not grown
 * for a while. What another machine writes makes no event: such a file is opened anew and looked at,
 * while somebody waits.
 */
/** So many events within {@linkcode BURST_MS} are a fast writer: 500 a second. */
const BURST_EVENTS = 32;

const BURST_MS = 64;

/** How often the size of a file with a fast writer is checked: the delay of a reader. */
const GROWING_INTERVAL_MS = 4;

/** After this many checks without growth it waits for events again. */
const MAX_QUIET_CHECKS = 25;

/** A reader comes back at once; when none has for so long, nobody looks any more. */
const IDLE_MS = 100;

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
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** At the last check. */
  #size = 0;
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
          if (this.#waiters.size === 0) this.#awaitReaders();
          resolve();
        },
      };
      // The event of what was written since the reader has looked may have come already.
      if (this.#watcher !== undefined && this.#size > size) return resolve();
      clearTimeout(this.#idleTimer);
      this.#waiters.add(waiter);
      signal.addEventListener("abort", waiter.wake);
      if (!this.#isWatching) void (this.#news === "polling" ? this.#poll() : this.#watch());
    });
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (!this.#finished && this.#waiters.size > 0) {
      if (watchers < MAX_WATCHERS && await this.#heedEvents()) continue;
      const before = this.#size;
      if (await this.#wakeReaders() !== before) await this.#checkOnTimer();
      else if (this.#waiters.size > 0) await this.#pause(WITHOUT_INOTIFY_INTERVAL_MS);
    }
    this.#isWatching = false;
  }

  /**
   * Wakes the readers at each event, or on the timer while they come fast, until nobody waits any more.
   *
   * @returns Whether the host had room for it.
   */
  async #heedEvents(): Promise<boolean> {
    let watcher: Deno.FsWatcher;
    try {
      watcher = Deno.watchFs(this.#path);
    } catch {
      return false;
    }
    this.#watcher = watcher;
    watchers++;
    let isFast = false;
    try {
      // What was written before the watch began makes no event.
      await this.#wakeReaders();
      let count = 0;
      let beginMs = performance.now();
      const events = watcher[Symbol.asyncIterator]();
      while (!isFast && (await events.next()).done !== true) {
        await this.#wakeReaders();
        if (++count < BURST_EVENTS) continue;
        const nowMs = performance.now();
        isFast = nowMs - beginMs < BURST_MS;
        [count, beginMs] = [0, nowMs];
      }
    } finally {
      watchers--;
      this.#wakeUp();
    }
    if (isFast) await this.#checkOnTimer();
    return true;
  }

  async #checkOnTimer(): Promise<void> {
    let quietChecks = 0;
    while (!this.#finished && quietChecks < MAX_QUIET_CHECKS) {
      const before = this.#size;
      quietChecks = await this.#wakeReaders() === before ? quietChecks + 1 : 0;
      await this.#pause(GROWING_INTERVAL_MS);
    }
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
    this.#size = size;
    for (const waiter of [...this.#waiters]) if (size > waiter.size) waiter.wake();
    return size;
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

  /** Ends the watch when no reader comes back. */
  #awaitReaders(): void {
    clearTimeout(this.#idleTimer);
    if (this.#watcher !== undefined) this.#idleTimer = setTimeout(() => this.#wakeUp(), IDLE_MS);
  }

  #wakeUp(): void {
    clearTimeout(this.#idleTimer);
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
