import { strict as assert } from "node:assert";
import { join } from "node:path";
import { setImmediate } from "node:timers";
import { type GrowthNews, GrowthSignal } from "../../lib/logs/growth.ts";
import { WriteEvents } from "../../lib/logs/write_events.ts";
import { RegularFile } from "../../lib/regular_file.ts";
import { inTime, until } from "../support/wait.ts";

const NEVER = new AbortController().signal;
const DEADLINE_MS = 2000;

/** Less than a test may take. */
const BUSY_HOST_MS = 20_000;

/** A file that grows, and its signal. */
class GrowingFile implements AsyncDisposable {
  readonly growth: GrowthSignal;
  readonly events = new EventsHook();
  readonly #folder: string;
  readonly #path: string;

  private constructor(folder: string, news: GrowthNews) {
    this.#folder = folder;
    this.#path = join(folder, "output");
    Deno.writeTextFileSync(this.#path, "");
    this.growth = new GrowthSignal(this.#path, news);
  }

  static async make(news: GrowthNews = "events"): Promise<GrowingFile> {
    return new GrowingFile(await Deno.makeTempDir({ prefix: "job-worker-growth-" }), news);
  }

  async append(length: number): Promise<void> {
    await Deno.writeFile(this.#path, new Uint8Array(length), { append: true });
  }

  /** The same, before it returns. */
  appendSync(length: number): void {
    Deno.writeFileSync(this.#path, new Uint8Array(length), { append: true });
  }

  async remove(): Promise<void> {
    await Deno.remove(this.#path);
  }

  /** Waits for growth, not for ever. */
  async beyond(size: number, signal = NEVER): Promise<void> {
    await inTime("the growth", this.growth.beyond(size, signal), DEADLINE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.growth.finish();
    await this.events[Symbol.asyncDispose]();
    // The signal checks the file for the last time a moment after its end.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Sees how files are watched, until it is disposed of. */
class EventsHook implements AsyncDisposable {
  readonly #begin = WriteEvents.begin;
  readonly #first = Promise.withResolvers<void>();
  readonly #ended: Promise<void>[] = [];
  /** How often the watch of a file has begun. */
  begun = 0;
  /** What is done before one begins; false: the host has no room for it. */
  before: () => boolean = () => true;

  constructor() {
    const begin = this.#begin;
    WriteEvents.begin = (path) => {
      this.begun++;
      this.#first.resolve();
      const events = this.before() ? begin(path) : undefined;
      if (events === undefined) return undefined;
      const dispose = events[Symbol.asyncDispose].bind(events);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#ended.push(promise);
      events[Symbol.asyncDispose] = () => dispose().then(resolve);
      return events;
    };
  }

  /** Waits until the first watch begins. */
  async first(): Promise<void> {
    await inTime("the watch", this.#first.promise, DEADLINE_MS);
  }

  /** Waits until all of them are over. */
  async ended(deadlineMs = DEADLINE_MS): Promise<void> {
    await inTime("the end of the watch", Promise.all(this.#ended).then(() => {}), deadlineMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    WriteEvents.begin = this.#begin;
    await this.ended();
  }
}

/** Whether a promise is fulfilled by now; one that is late is not. */
function watch(promise: Promise<void>): { isSettled: boolean } {
  const state = { isSettled: false };
  promise.then(() => state.isSettled = true, () => {});
  return state;
}

Deno.test("GrowthSignal: who writes much is looked at less often", async () => {
  for (const [bytes, pauseMs] of [[1000, 4], [100_000, 4], [200_000, 16]] as const) {
    await using file = await GrowingFile.make();
    const pauses: number[] = [];
    const { setTimeout } = globalThis;
    const spy = (action: () => void, ms: number) => {
      pauses.push(ms);
      return setTimeout(action, ms);
    };
    globalThis.setTimeout = Object.assign(spy, setTimeout);
    try {
      for (let size = 0; size < 3 * bytes; size += bytes) {
        const grown = file.growth.beyond(size, NEVER);
        file.appendSync(bytes);
        await grown;
      }
    } finally {
      globalThis.setTimeout = setTimeout;
    }
    assert(pauses.includes(pauseMs), `${pauses}`);
    assert.equal(pauses.includes(16), pauseMs === 16, `${pauses}`);
  }
});

Deno.test("GrowthSignal: a reader is woken when the file is larger, and not when it is as large", async () => {
  await using file = await GrowingFile.make();
  await file.append(5);
  const atEnd = file.beyond(5);
  const state = watch(atEnd);
  // One check is for both.
  await file.beyond(4);
  assert.equal(
    state.isSettled,
    false,
    "a reader at the end of the file would read it again and again",
  );
  await file.append(1);
  await atEnd;
});

Deno.test("GrowthSignal: readers wait for sizes of their own", async () => {
  await using file = await GrowingFile.make();
  const far = file.beyond(100);
  const state = watch(far);
  for (let size = 0; size < 100; size += 10) {
    const next = file.beyond(size);
    await file.append(10);
    await next;
    assert.equal(state.isSettled, false, `${size + 10}`);
  }
  await file.append(1);
  await far;
});

Deno.test("GrowthSignal: the end wakes all readers, and a later one does not wait", async () => {
  await using file = await GrowingFile.make();
  const waiting = [file.beyond(0), file.beyond(2 ** 53), file.beyond(7)];
  file.growth.finish();
  await Promise.all(waiting);
  await file.beyond(0);
});

Deno.test("GrowthSignal: an abort wakes its reader, and no other", async () => {
  await using file = await GrowingFile.make();
  const controller = new AbortController();
  const other = file.beyond(0);
  const state = watch(other);
  const aborted = file.beyond(0, controller.signal);
  controller.abort();
  await aborted;
  await file.beyond(0, AbortSignal.abort());
  assert.equal(state.isSettled, false);
  await file.append(1);
  await other;
});

Deno.test("GrowthSignal: each write of a slow writer is an event, and nobody looks on a timer", async () => {
  await using file = await GrowingFile.make();
  const first = file.beyond(0);
  await file.events.first();
  await file.append(1);
  await first;
  const { setTimeout } = globalThis;
  let looks = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    if (args[1] === 4) looks++;
    return setTimeout(...args);
  }) as typeof setTimeout;
  try {
    for (let size = 1; size < 50; size++) {
      const next = file.beyond(size);
      await file.append(1);
      await next;
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert.deepEqual({ begun: file.events.begun, looks }, { begun: 1, looks: 0 });
});

Deno.test("GrowthSignal: what was noticed before a reader came back is not missed", async () => {
  await using file = await GrowingFile.make();
  const first = file.beyond(0);
  await file.events.first();
  await file.append(1);
  await first;
  const { lstatSync } = Deno;
  const noticed = Promise.withResolvers<void>();
  Deno.lstatSync = (...args) => {
    const info = lstatSync(...args);
    if (info.size === 2) setTimeout(noticed.resolve, 0);
    return info;
  };
  try {
    await file.append(1);
    await inTime("the event", noticed.promise, DEADLINE_MS);
  } finally {
    Deno.lstatSync = lstatSync;
  }
  await file.beyond(1);
});

Deno.test("GrowthSignal: nothing is watched any more when no reader comes back", async () => {
  await using file = await GrowingFile.make();
  const waiting = file.beyond(0);
  await file.events.first();
  await file.append(1);
  await waiting;
  await file.events.ended();
});

Deno.test("GrowthSignal: the writes of a fast writer are no events", async () => {
  await using file = await GrowingFile.make();
  const waiting = watch(file.growth.beyond(2 ** 53, NEVER));
  await file.events.first();
  // On a busy host tail(1) runs seldom, and many writes are one event for long.
  const ended = file.events.ended(BUSY_HOST_MS);
  const over = watch(ended);
  const untilMs = performance.now() + BUSY_HOST_MS;
  while (performance.now() < untilMs && !over.isSettled) {
    file.appendSync(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  assert.equal(waiting.isSettled, false);
});

Deno.test("GrowthSignal: the writes of a writer become events when it is seen to be slow", async () => {
  await using file = await GrowingFile.make();
  const seen = watch(file.events.first());
  for (let size = 0; size < 100 && !seen.isSettled; size++) {
    const next = file.beyond(size);
    await file.append(1);
    await next;
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  assert.equal(seen.isSettled, true, "it is looked at on a timer");
});

Deno.test("GrowthSignal: what is written right before the watch begins is not missed", async () => {
  await using file = await GrowingFile.make();
  await file.append(1);
  file.events.before = () => {
    if (file.events.begun === 1) file.appendSync(1);
    return true;
  };
  await file.beyond(1);
  assert.equal(file.events.begun, 1);
});

Deno.test("GrowthSignal: where the host has no room for events, growth is noticed all the same", async () => {
  await using file = await GrowingFile.make();
  file.events.before = () => false;
  const waiting = file.beyond(0);
  await file.events.first();
  await file.append(1);
  await waiting;
});

Deno.test("GrowthSignal: a watch that ends by itself is not begun again at once", async () => {
  await using file = await GrowingFile.make();
  const { begin } = WriteEvents;
  WriteEvents.begin = (path) => {
    const events = begin(path);
    events?.end();
    return events;
  };
  const waiting = file.beyond(0);
  await file.events.first();
  const { lstatSync } = Deno;
  let looks = 0;
  Deno.lstatSync = (...args) => {
    looks++;
    return lstatSync(...args);
  };
  await until("the next looks", () => looks >= 5, DEADLINE_MS);
  Deno.lstatSync = lstatSync;
  await file.append(1);
  await waiting;
  WriteEvents.begin = begin;
  assert.equal(file.events.begun, 1);
});

Deno.test("GrowthSignal: readers of a file that was removed wait for the end", async () => {
  await using file = await GrowingFile.make();
  await file.append(5);
  await file.remove();
  const waiting = file.beyond(0);
  const state = watch(waiting);
  await file.events.first();
  assert.equal(state.isSettled, false);
  file.growth.finish();
  await waiting;
});

Deno.test("GrowthSignal: of a file that another machine writes, each look opens it anew", async () => {
  await using file = await GrowingFile.make("polling");
  const { size } = RegularFile.prototype;
  let looks = 0;
  const looked = Promise.withResolvers<void>();
  RegularFile.prototype.size = function () {
    if (++looks === 3) looked.resolve();
    return size.call(this);
  };
  try {
    const waiting = file.beyond(0);
    await inTime("three looks", looked.promise, DEADLINE_MS);
    await file.append(1);
    await waiting;
    // The next reader is served as well, after nobody has waited.
    const next = file.beyond(1);
    await file.append(1);
    await next;
  } finally {
    RegularFile.prototype.size = size;
  }
});

Deno.test("GrowthSignal: a signal that is used often keeps no listener of a reader that was woken", async () => {
  await using file = await GrowingFile.make();
  await file.append(1);
  const { signal } = new AbortController();
  const listeners = { added: 0, removed: 0 };
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.added++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners.removed++;
    removeEventListener.apply(signal, args);
  };
  for (let size = 1; size < 4; size++) {
    const next = file.beyond(size, signal);
    await file.append(1);
    await next;
  }
  assert.deepEqual(listeners, { added: 3, removed: 3 });
});
