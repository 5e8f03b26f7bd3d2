/**
 * Tells readers that a file has grown. While a writer is fast the size is checked on a timer: it may make
 * a hundred thousand small writes a second, and an event for each would cost more than the reading. Each
 * write of a slow one is an event, so that readers have it at once. What another machine writes makes no
 * event: such a file is opened anew and looked at, while somebody waits.
 */
import { statRegularSync } from "../regular_file.ts";
import { statSegments } from "./segments.ts";
import { WriteEvents } from "./write_events.ts";

/** How often the size of a file with a fast writer is checked: the delay of a reader. */
const GROWING_INTERVAL_MS = 4;

/** The same after a check at which so much had come that nobody reads each of its lines. */
const MUCH_GROWING_INTERVAL_MS = 16;

const MUCH_BYTES = 128 * 1024;

/** After so many checks it is decided whether the writer is a slow one. */
const CHECKS = 25;

/** A writer is slow whose file has grown at no more of these checks: some 150 writes a second. */
const MAX_SLOW_GROWTHS = 16;

/** So many events within {@linkcode BURST_MS} are a fast writer: 500 a second. */
const BURST_EVENTS = 32;

const BURST_MS = 64;

/** A reader comes back at once; when none has for so long, nobody looks any more. */
const IDLE_MS = 1_000;

/** How often the size is checked where the host has no room for events. */
const WITHOUT_EVENTS_INTERVAL_MS = 100;

/** How long the host is not asked for events again after it had no room for them. */
const RETRY_MS = 10_000;

/** How often the size of a file that another machine writes is checked while it grows. */
const MIN_POLLING_INTERVAL_MS = 20;

/** The same of one that has not grown for long. */
const MAX_POLLING_INTERVAL_MS = 250;

/** Each check without growth makes the next interval so many times as long. */
const POLLING_GROWTH = 1.25;

/** How news of a file's growth comes: by the kernel's events, or by looking alone. */
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
  #events: WriteEvents | undefined;
  /** Before this time the host is not asked for events. */
  #retryMs = 0;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** At the last check. */
  #size = 0;
  #endPause: (() => void) | undefined;

  /** @param news "polling" for an output that another machine writes. */
  constructor(path: string, news: GrowthNews = "events") {
    this.#path = path;
    this.#news = news;
  }

  /** Tells that the file will not grow any more, and wakes all readers. */
  finish(): void {
    this.#finished = true;
    this.#endEvents();
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
      if (this.#events !== undefined && this.#size > size) return resolve();
      clearTimeout(this.#idleTimer);
      this.#waiters.add(waiter);
      signal.addEventListener("abort", waiter.wake);
      if (!this.#isWatching) void (this.#news === "polling" ? this.#poll() : this.#watch());
    });
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    let isFast = await this.#checkOnTimer();
    while (!this.#finished && this.#waiters.size > 0) {
      if (isFast || await this.#heedEvents()) isFast = await this.#checkOnTimer();
      else {
        const before = this.#size;
        await this.#pause(WITHOUT_EVENTS_INTERVAL_MS);
        isFast = await this.#wakeReaders() !== before;
      }
    }
    this.#isWatching = false;
  }

  /** @returns Whether the writer is a fast one. */
  async #checkOnTimer(): Promise<boolean> {
    let growths = 0;
    for (let check = 0; check < CHECKS && !this.#finished; check++) {
      const before = this.#size;
      const grownBytes = await this.#wakeReaders() - before;
      if (grownBytes !== 0) growths++;
      await this.#pause(grownBytes < MUCH_BYTES ? GROWING_INTERVAL_MS : MUCH_GROWING_INTERVAL_MS);
    }
    return growths > MAX_SLOW_GROWTHS;
  }

  /**
   * Wakes the readers at each event, until these come fast or nobody waits any more.
   *
   * @returns Whether the host has events.
   */
  async #heedEvents(): Promise<boolean> {
    if (performance.now() < this.#retryMs) return false;
    await using events = WriteEvents.begin(this.#path);
    this.#events = events;
    let count = 0;
    let beginMs = performance.now();
    while (await events?.next()) {
      await this.#wakeReaders();
      if (++count < BURST_EVENTS) continue;
      const nowMs = performance.now();
      if (nowMs - beginMs < BURST_MS) this.#endEvents();
      [count, beginMs] = [0, nowMs];
    }
    if (this.#events === undefined && events !== undefined) return true;
    this.#events = undefined;
    this.#retryMs = performance.now() + RETRY_MS;
    return false;
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
      size = this.#news === "polling"
        ? (await statSegments(this.#path, { anew: true })).size
        : statRegularSync(this.#path).size;
    } catch {
      // The file was removed: it does not grow, and its readers wait for the job's end.
    }
    this.#size = size;
    for (const waiter of [...this.#waiters]) if (size > waiter.size) waiter.wake();
    return size;
  }

  /** Waits for some milliseconds; {@linkcode finish} ends it early. */
  async #pause(pauseMs: number): Promise<void> {
    if (this.#finished) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the events when no reader comes back. */
  #awaitReaders(): void {
    clearTimeout(this.#idleTimer);
    if (this.#events !== undefined) this.#idleTimer = setTimeout(() => this.#endEvents(), IDLE_MS);
  }

  #endEvents(): void {
    clearTimeout(this.#idleTimer);
    this.#events?.end();
    this.#events = undefined;
  }
}
