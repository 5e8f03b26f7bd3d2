import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type GrowthNews, GrowthSignal } from "../../lib/logs/growth.ts";
import { inTime } from "../support/wait.ts";

const NEVER = new AbortController().signal;
const DEADLINE_MS = 2000;

/** A file that grows, and its signal. */
class GrowingFile implements AsyncDisposable {
  readonly growth: GrowthSignal;
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
    // The signal checks the file for the last time a moment after its end.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Whether a promise has settled by now. */
function watch(promise: Promise<void>): { isSettled: boolean } {
  const state = { isSettled: false };
  void promise.then(() => state.isSettled = true);
  return state;
}

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

/** Replaces the runtime's watchFs until it is disposed of: an action goes before the real one. */
class WatchHook implements Disposable {
  readonly #watchFs = Deno.watchFs;
  /** Settles when it is called for the first time. */
  readonly called: Promise<void>;

  constructor(action: () => void = () => {}) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.called = inTime("the growth", promise, DEADLINE_MS);
    const watchFs = this.#watchFs;
    Deno.watchFs = (...args) => {
      resolve();
      action();
      return watchFs(...args);
    };
  }

  [Symbol.dispose](): void {
    Deno.watchFs = this.#watchFs;
  }
}

Deno.test("GrowthSignal: a file that was quiet for long is watched by inotify", async () => {
  await using file = await GrowingFile.make();
  using hook = new WatchHook();
  const waiting = file.beyond(0);
  await hook.called;
  await file.append(1);
  await waiting;
});

Deno.test("GrowthSignal: each write of a slow writer is an event, and nobody looks on a timer", async () => {
  await using file = await GrowingFile.make();
  let watches = 0;
  using _hook = new WatchHook(() => watches++);
  const { setTimeout } = globalThis;
  let looks = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    if (args[1] === 4) looks++;
    return setTimeout(...args);
  }) as typeof setTimeout;
  try {
    for (let size = 0; size < 100; size++) {
      const next = file.beyond(size);
      await file.append(1);
      await next;
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert.deepEqual({ watches, looks }, { watches: 1, looks: 0 });
});

Deno.test("GrowthSignal: what was noticed before a reader came back is not missed", async () => {
  await using file = await GrowingFile.make();
  const first = file.beyond(0);
  await file.append(1);
  await first;
  const { stat } = Deno;
  const noticed = Promise.withResolvers<void>();
  Deno.stat = async (...args) => {
    const info = await stat(...args);
    if (info.size === 2) setTimeout(noticed.resolve, 0);
    return info;
  };
  try {
    await file.append(1);
    await inTime("the event", noticed.promise, DEADLINE_MS);
  } finally {
    Deno.stat = stat;
  }
  await file.beyond(1);
});

Deno.test("GrowthSignal: nothing is watched any more when no reader comes back", async () => {
  await using file = await GrowingFile.make();
  const closed = Promise.withResolvers<void>();
  const { watchFs } = Deno;
  Deno.watchFs = (...args) => {
    const watcher = watchFs(...args);
    const close = watcher.close.bind(watcher);
    watcher.close = () => {
      closed.resolve();
      close();
    };
    return watcher;
  };
  try {
    const waiting = file.beyond(0);
    await file.append(1);
    await waiting;
    await inTime("the end of the watch", closed.promise, DEADLINE_MS);
  } finally {
    Deno.watchFs = watchFs;
  }
});

Deno.test("GrowthSignal: a fast writer is looked at on a timer, not at each write", async () => {
  await using file = await GrowingFile.make();
  const { stat } = Deno;
  let looks = 0;
  Deno.stat = (...args) => {
    looks++;
    return stat(...args);
  };
  try {
    const end = file.beyond(4_999);
    for (let written = 0; written < 5_000; written += 20) {
      for (let write = 0; write < 20; write++) file.appendSync(1);
      // A moment for what looks.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await end;
  } finally {
    Deno.stat = stat;
  }
  assert(looks < 1000, `it was looked at ${looks} times`);
});

Deno.test("GrowthSignal: what is written right before inotify watches is not missed", async () => {
  await using file = await GrowingFile.make();
  let isWritten = false;
  using _hook = new WatchHook(() => {
    if (!isWritten) file.appendSync(1);
    isWritten = true;
  });
  await file.beyond(0);
  assert(isWritten);
});

Deno.test("GrowthSignal: where there is no inotify instance left, growth is noticed all the same", async () => {
  await using file = await GrowingFile.make();
  using hook = new WatchHook(() => {
    throw new Error("Too many open files (os error 24)");
  });
  const waiting = file.beyond(0);
  await hook.called;
  await file.append(1);
  await waiting;
});

Deno.test("GrowthSignal: readers of a file that was removed wait for the end", async () => {
  await using file = await GrowingFile.make();
  await file.append(5);
  await file.remove();
  using hook = new WatchHook();
  const waiting = file.beyond(0);
  const state = watch(waiting);
  await hook.called;
  assert.equal(state.isSettled, false);
  file.growth.finish();
  await waiting;
});

Deno.test("GrowthSignal: of a file that another machine writes, each look opens it anew", async () => {
  await using file = await GrowingFile.make("polling");
  const { open } = Deno;
  let looks = 0;
  const looked = Promise.withResolvers<void>();
  Deno.open = (...args) => {
    if (++looks === 3) looked.resolve();
    return open(...args);
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
    Deno.open = open;
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
