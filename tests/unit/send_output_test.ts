/** Sending output over real files, into a fake sink that keeps the messages. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { type OutputSink, sendOutput } from "../../lib/grpc/send_output.ts";
import { type Chunk, OutputLog, type ReadRange } from "../../lib/logs.ts";
import { CHUNK_BYTES } from "../../lib/logs/chunk_buffers.ts";
import type { Timing } from "../../lib/logs/timed.ts";
import { jobService } from "../../proto/contract.ts";
import { isSettled, turn } from "../support/settled.ts";
import { until } from "../support/wait.ts";

interface Message {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly gapBytes: number;
  readonly timeMs: number;
  readonly isLast: boolean;
}

/** A fake reader: it takes everything, unless a test makes it stall. */
class FakeSink implements OutputSink {
  hasRoom = true;
  readonly messages: Message[] = [];
  #wake = () => {};

  async ready(signal: AbortSignal): Promise<void> {
    if (this.hasRoom || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      signal.addEventListener("abort", () => resolve());
    });
  }

  resume(): void {
    this.hasRoom = true;
    this.#wake();
  }

  write(frame: Uint8Array): void {
    // The sender may use the frame's memory again.
    const bytes = Buffer.from(frame.subarray(5));
    const message = jobService.Stream.responseDeserialize(bytes);
    const { output, offset, gapBytes, timeMs, isLast } = message;
    this.messages.push({
      isLast,
      text: output.toString(),
      bytes: new Uint8Array(output),
      offset: Number(offset),
      gapBytes: Number(gapBytes),
      timeMs,
    });
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.messages.map(({ bytes }) => bytes));
  }

  /** The messages without those that have no bytes. */
  get pieces(): [offset: number, gapBytes: number, text: string][] {
    return this.messages.map(({ offset, gapBytes, text }) => [offset, gapBytes, text]);
  }
}

/** A job's output in a file of its own. */
class Place implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "job-worker-send-" });
  readonly #path = join(this.#folder, "output");
  readonly log: OutputLog;

  constructor(content: string | Uint8Array = "", { firstOffset = 0, finished = true } = {}) {
    Deno.writeFileSync(this.#path, toBytes(content));
    this.log = new OutputLog(this.#path, {
      firstOffset,
      finished,
      gapsPath: `${this.#path}.gaps`,
      timesPath: `${this.#path}.times`,
    });
  }

  append(content: string | Uint8Array): void {
    Deno.writeFileSync(this.#path, toBytes(content), { append: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.log.finish();
    // A log that was followed looks at its file for the last time a moment after its end.
    await new Promise((resolve) => setTimeout(resolve, 20));
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

function toBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** Begins to send, with everything that a test looks at. */
function send(
  output: Pick<OutputLog, "read">,
  range: Partial<ReadRange> = {},
  { sink = new FakeSink(), control = new AbortController(), heartbeatMs = 0, timing }: {
    readonly sink?: FakeSink;
    readonly control?: AbortController;
    readonly heartbeatMs?: number;
    readonly timing?: Timing;
  } = {},
) {
  const counts = { open: 0, bytes: 0 };
  const done = sendOutput(output as OutputLog, {
    range: { follow: true, ...range },
    timing,
    sink,
    signal: control.signal,
    heartbeatMs,
    counts,
  });
  return { sink, control, counts, done };
}

/** A log that yields what a test says, chunk by chunk. */
function scripted(chunks: readonly [offset: number, content: string | Uint8Array, gap?: number][]) {
  return {
    async *read(): AsyncGenerator<Chunk> {
      for (const [offset, content, gapBytes = 0] of chunks) {
        const source = toBytes(content);
        const bytes = new Uint8Array(64 + source.length).subarray(64);
        bytes.set(source);
        yield { offset, bytes, gapBytes };
      }
    },
  };
}

Deno.test("sendOutput: every byte once, in order, and counted", async () => {
  const content = crypto.getRandomValues(new Uint8Array(3 * CHUNK_BYTES / 4)).toHex() + "end";
  assert(content.length > CHUNK_BYTES);
  await using place = new Place(content);
  const { sink, counts, done } = send(place.log);
  await done;
  assert.equal(Buffer.from(sink.bytes).toString(), content);
  assert.equal(counts.bytes, content.length);
  let offset = 0;
  for (const message of sink.messages) {
    assert.deepEqual([message.offset, message.gapBytes], [offset, 0]);
    offset += message.bytes.length;
  }
});

Deno.test("sendOutput: where times are asked for each message has its own, and no other has one", async () => {
  await using place = new Place("abc\n");
  const { timeMs: written } = await place.log.look();
  for (const timing of [undefined, {}, { sinceMs: 1 }]) {
    const { sink, done } = send(place.log, {}, { ...(timing && { timing }) });
    await done;
    const { timeMs, text } = sink.messages.at(-1) ?? {};
    assert.deepEqual([timeMs, text], [timing === undefined ? 0 : written, "abc\n"]);
  }
});

Deno.test("sendOutput: what was written since a time begins with where that is, and no heartbeat before", async () => {
  await using place = new Place("abc\n");
  const { sink, done } = send(place.log, { follow: false }, {
    timing: { sinceMs: Date.now() + 1000 },
  });
  await done;
  assert.deepEqual(sink.pieces, [[4, 0, ""]]);
});

Deno.test("sendOutput: no output is no message", async () => {
  await using place = new Place();
  const { sink, counts, done } = send(place.log);
  await done;
  assert.deepEqual(sink.messages, []);
  assert.equal(counts.bytes, 0);
});

Deno.test("sendOutput: UTF-8 is never cut inside a character, wherever the chunks are cut", async () => {
  const text = "a\u{e9}\u{20ac}\u{1f600}z";
  const bytes = toBytes(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const log = scripted([[10, bytes.subarray(0, cut)], [10 + cut, bytes.subarray(cut)]]);
    const { sink, done } = send(log, { offset: 10 });
    await done;
    let offset = 10;
    for (const message of sink.messages) {
      assert.equal(message.offset, offset, `cut at ${cut}`);
      new TextDecoder("utf-8", { fatal: true }).decode(message.bytes);
      offset += message.bytes.length;
    }
    assert.equal(Buffer.from(sink.bytes).toString(), text, `cut at ${cut}`);
  }
});

Deno.test("sendOutput: a character that comes byte by byte is one message", async () => {
  const chunks = [...toBytes("\u{1f600}")].map((byte, index) =>
    [index, Uint8Array.of(byte)] as [number, Uint8Array]
  );
  const { sink, done } = send(scripted(chunks));
  await done;
  assert.deepEqual(sink.pieces, [[0, 0, "\u{1f600}"]]);
});

Deno.test("sendOutput: bytes that are not UTF-8 are sent as they come", async () => {
  const bytes = Uint8Array.of(0xff, 0x80, 0xc3, 0x28, 0xf8);
  const { sink, done } = send(scripted([[0, bytes], [5, bytes]]));
  await done;
  assert.deepEqual([...sink.bytes], [...bytes, ...bytes]);
});

Deno.test("sendOutput: the beginning of a character at the end of the output is sent as it is", async () => {
  for (const tail of [[0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98]]) {
    await using place = new Place(Uint8Array.of(0x41, ...tail));
    const { sink, counts, done } = send(place.log);
    await done;
    assert.deepEqual(sink.messages.map(({ bytes, offset }) => [offset, ...bytes]), [
      [0, 0x41],
      [1, ...tail],
    ]);
    assert.equal(counts.bytes, 1 + tail.length);
  }
});

Deno.test("sendOutput: output that was rotated away is a gap of its exact length, before the rest", async () => {
  await using place = new Place("0123456789", { firstOffset: 4 });
  for (
    const [offset, expected] of [
      [0, [[4, 4, "456789"]]],
      [1, [[4, 3, "456789"]]],
      [3, [[4, 1, "456789"]]],
      [4, [[4, 0, "456789"]]],
      [7, [[7, 0, "789"]]],
      [10, []],
    ] as const
  ) {
    const { sink, done } = send(place.log, { offset });
    await done;
    assert.deepEqual(sink.pieces, expected, `from ${offset}`);
  }
});

Deno.test("sendOutput: a gap at the end of the output is sent", async () => {
  await using place = new Place("0123456789", { firstOffset: 10 });
  const { sink, done } = send(place.log);
  await done;
  assert.deepEqual(sink.pieces, [[10, 10, ""]]);
});

Deno.test("sendOutput: bytes held back before a gap are sent first, at their own offset", async () => {
  for (const held of [[0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98]]) {
    const first = Uint8Array.of(0x41, ...held);
    const end = 100 + first.length;
    const { sink, counts, done } = send(scripted([[100, first], [end + 7, "rest", 7]]), {
      offset: 100,
    });
    await done;
    assert.deepEqual(
      sink.messages.map(({ offset, gapBytes, bytes }) => ({ offset, gapBytes, bytes: [...bytes] })),
      [
        { offset: 100, gapBytes: 0, bytes: [0x41] },
        { offset: 101, gapBytes: 0, bytes: held },
        { offset: end + 7, gapBytes: 7, bytes: [...toBytes("rest")] },
      ],
    );
    assert.equal(counts.bytes, first.length + 4);
  }
});

Deno.test("sendOutput: output that is rotated away before a reader got it is a gap", async () => {
  await using place = new Place("0123456789", { finished: false });
  const { sink, done } = send(place.log);
  await until("the first message", () => sink.messages.length >= 1);
  place.log.firstOffset = 15;
  place.append("abcdefghij");
  place.log.finish();
  await done;
  assert.deepEqual(sink.pieces, [[0, 0, "0123456789"], [15, 5, "fghij"]]);
});

Deno.test("sendOutput: a tail says first where it begins, with or without bytes", async () => {
  await using place = new Place("one\ntwo\nthree\n");
  const tails: [Partial<ReadRange>, unknown][] = [
    [{ tailLines: 1 }, [[8, 0, ""], [8, 0, "three\n"]]],
    [{ tailBytes: 2 }, [[12, 0, ""], [12, 0, "e\n"]]],
    [{ tailLines: 0 }, [[14, 0, ""]]],
  ];
  for (const [range, expected] of tails) {
    const { sink, done } = send(place.log, { follow: false, ...range });
    await done;
    assert.deepEqual(sink.pieces, expected);
  }
});

Deno.test("sendOutput: follows until the job ends, and only then", async () => {
  await using place = new Place("one ", { finished: false });
  const { sink, done } = send(place.log);
  await until("the first message", () => sink.messages.length >= 1);
  assert(!await isSettled(done));
  place.append("two");
  await until("the second message", () => sink.messages.length >= 2);
  assert(!await isSettled(done));
  place.log.finish();
  await done;
  assert.deepEqual(sink.pieces, [[0, 0, "one "], [4, 0, "two"]]);
});

Deno.test("sendOutput: a reader that stalls gets no second message, and all of them later", async () => {
  const content = "x".repeat(5 * CHUNK_BYTES);
  await using place = new Place(content);
  const sink = new FakeSink();
  sink.hasRoom = false;
  const reads = { count: 0 };
  const counted = {
    async *read(range: ReadRange, signal: AbortSignal) {
      for await (const chunk of place.log.read(range, signal)) {
        reads.count++;
        yield chunk;
      }
    },
  };
  const { done } = send(counted, {}, { sink });
  await until("the chunk that is read ahead", () => reads.count >= 2);
  assert(!await isSettled(done));
  assert.equal(sink.messages.length, 1);
  assert.equal(reads.count, 2, "more was read than one chunk ahead");
  sink.resume();
  await done;
  assert.equal(Buffer.from(sink.bytes).toString(), content);
});

/** A log that yields some chunks and then waits for an abort; it notes whether it was closed. */
function stoppable(steps: readonly Chunk[]) {
  const state = { isClosed: false };
  return {
    state,
    async *read(_range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
      try {
        yield* steps;
        const aborted = Promise.withResolvers<void>();
        signal.addEventListener("abort", () => aborted.resolve());
        if (!signal.aborted) await aborted.promise;
      } finally {
        state.isClosed = true;
      }
    },
  };
}

function chunk(offset: number, text: string): Chunk {
  const bytes = new Uint8Array(64 + text.length).subarray(64);
  bytes.set(toBytes(text));
  return { offset, bytes, gapBytes: 0 };
}

Deno.test("sendOutput: an abort while it waits for output ends it, and closes the file", async () => {
  const log = stoppable([chunk(0, "one")]);
  const { sink, control, done } = send(log);
  await until("the first message", () => sink.messages.length >= 1);
  assert(!await isSettled(done));
  control.abort();
  await done;
  await until("the end of the reading", () => log.state.isClosed);
  assert.equal(sink.messages.length, 1);
});

Deno.test("sendOutput: an abort while the reader stalls ends it, and closes the file", async () => {
  const log = stoppable([chunk(0, "one"), chunk(3, "two"), chunk(6, "three")]);
  const sink = new FakeSink();
  sink.hasRoom = false;
  const { control, done } = send(log, {}, { sink });
  await until("the first message", () => sink.messages.length >= 1);
  assert(!await isSettled(done));
  control.abort();
  await done;
  await until("the end of the reading", () => log.state.isClosed);
  assert.equal(sink.messages.length, 1, "something was sent after the end");
});

Deno.test("sendOutput: held bytes are not sent after an abort", async () => {
  const log = stoppable([]);
  const half = { offset: 1, bytes: chunk(1, "\0").bytes, gapBytes: 0 };
  half.bytes[0] = 0xc3;
  const { sink, control, done } = send({
    async *read(range: ReadRange, signal: AbortSignal) {
      yield* [chunk(0, "a"), half];
      yield* log.read(range, signal);
    },
  });
  await until("the first message", () => sink.messages.length > 0);
  control.abort();
  await done;
  assert.deepEqual([...sink.bytes].filter((byte) => byte === 0xc3), []);
});

Deno.test("sendOutput: an abort before the beginning sends nothing of a real log", async () => {
  await using place = new Place("text", { finished: false });
  const control = new AbortController();
  control.abort();
  const { sink, done } = send(place.log, {}, { control });
  await done;
  assert.deepEqual(sink.messages, []);
});

Deno.test("sendOutput: an error of the reading is its error, also while the reader stalls", async () => {
  const failing = {
    async *read(): AsyncGenerator<Chunk> {
      // Nothing is read ahead behind a short one.
      yield chunk(0, "x".repeat(CHUNK_BYTES));
      throw new Deno.errors.NotFound("gone");
    },
  };
  await assert.rejects(send(failing).done, Deno.errors.NotFound);
  const sink = new FakeSink();
  sink.hasRoom = false;
  const { control, done } = send(failing, {}, { sink });
  await turn();
  control.abort();
  // An unhandled rejection would fail this test.
  await done;
});

Deno.test("sendOutput: a log without a file is not found", async () => {
  const log = new OutputLog("/nonexistent/output", {
    firstOffset: 0,
    finished: true,
    gapsPath: "/nonexistent/gaps",
    timesPath: "/nonexistent/times",
  });
  await assert.rejects(send(log).done, Deno.errors.NotFound);
});

/** Timers of a test: the intervals that were set, which the test fires by hand. */
class FakeIntervals implements Disposable {
  readonly #set = globalThis.setInterval;
  readonly #clear = globalThis.clearInterval;
  readonly set = new Map<number, { delayMs: number; fire: () => void }>();

  constructor() {
    globalThis.setInterval = ((fire: () => void, delayMs: number) => {
      this.set.set(this.set.size + 1, { delayMs, fire });
      return this.set.size;
    }) as typeof setInterval;
    globalThis.clearInterval = ((id: number) => void this.set.delete(id)) as typeof clearInterval;
  }

  get delays(): number[] {
    return [...this.set.values()].map(({ delayMs }) => delayMs);
  }

  fire(): void {
    for (const { fire } of this.set.values()) fire();
  }

  [Symbol.dispose](): void {
    globalThis.setInterval = this.#set;
    globalThis.clearInterval = this.#clear;
  }
}

Deno.test("sendOutput: a heartbeat is an empty message at the next byte's offset", async () => {
  using timers = new FakeIntervals();
  const log = stoppable([chunk(0, "one")]);
  const { sink, control, done } = send(log, {}, { heartbeatMs: 2000 });
  assert.deepEqual(timers.delays, [2000]);
  timers.fire();
  await until("the output", () => sink.messages.length >= 2);
  timers.fire();
  timers.fire();
  assert.deepEqual(sink.pieces, [[0, 0, ""], [0, 0, "one"], [3, 0, ""], [3, 0, ""]]);
  control.abort();
  await done;
  assert.deepEqual(timers.delays, [], "the timer is left behind");
});

Deno.test("sendOutput: the last message is told to who asks for heartbeats, and to nobody else", async () => {
  using _timers = new FakeIntervals();
  for (const [heartbeatMs, expected] of [[1000, [false, true]], [0, [false]]] as const) {
    const { sink, done } = send(scripted([[0, "one"]]), {}, { heartbeatMs });
    await done;
    assert.deepEqual(sink.messages.map(({ isLast }) => isLast), expected);
    assert.equal(sink.messages.at(-1)?.offset, expected.length === 2 ? 3 : 0);
  }
  const cut = send(stoppable([chunk(0, "one")]), {}, { heartbeatMs: 1000 });
  await until("the output", () => cut.sink.messages.length > 0);
  cut.control.abort();
  await cut.done;
  assert.deepEqual(cut.sink.messages.filter(({ isLast }) => isLast), []);
});

Deno.test("sendOutput: a heartbeat with a character held back has the offset of the character", async () => {
  using timers = new FakeIntervals();
  const held = chunk(0, "ab\0");
  held.bytes[2] = 0xc3;
  const rest = chunk(3, "\0");
  rest.bytes[0] = 0xa9;
  const log = stoppable([]);
  const go = Promise.withResolvers<void>();
  const { sink, control, done } = send(
    {
      async *read(range: ReadRange, signal: AbortSignal) {
        yield held;
        await go.promise;
        yield rest;
        yield* log.read(range, signal);
      },
    },
    {},
    { heartbeatMs: 1000 },
  );
  await until("the first message", () => sink.messages.length >= 1);
  await turn();
  timers.fire();
  go.resolve();
  await until("the rest", () => sink.messages.length >= 3);
  assert.deepEqual(sink.pieces, [[0, 0, "ab"], [2, 0, ""], [2, 0, "\u{e9}"]]);
  control.abort();
  await done;
});

Deno.test("sendOutput: no heartbeat where there is no room, after an abort, or before a tail's beginning", async () => {
  using timers = new FakeIntervals();
  const sink = new FakeSink();
  sink.hasRoom = false;
  const log = stoppable([chunk(0, "one")]);
  const stalled = send(log, {}, { sink, heartbeatMs: 1000 });
  await until("the first message", () => sink.messages.length >= 1);
  timers.fire();
  assert.equal(sink.messages.length, 1, "a heartbeat was queued behind a stalled reader");
  sink.resume();
  stalled.control.abort();
  timers.fire();
  assert.equal(sink.messages.length, 1, "a heartbeat was sent after the end");
  await stalled.done;
  const tail = send(stoppable([]), { tailLines: 3 }, { heartbeatMs: 1000 });
  timers.fire();
  assert.deepEqual(tail.sink.messages, []);
  tail.control.abort();
  await tail.done;
});

Deno.test("sendOutput: without heartbeats there is no timer, and a long interval is not a short one", async () => {
  using timers = new FakeIntervals();
  const none = send(stoppable([]));
  assert.deepEqual(timers.delays, []);
  none.control.abort();
  await none.done;
  // The contract allows 2^32 - 1 seconds; the runtime's timers end at 2^31 - 1 ms.
  const rare = send(stoppable([]), {}, { heartbeatMs: (2 ** 32 - 1) * 1000 });
  assert.deepEqual(timers.delays, [2 ** 31 - 1]);
  rare.control.abort();
  await rare.done;
});
