import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { type Chunk, isTail, OutputLog, type ReadRange } from "../../lib/logs.ts";
import { giveBackChunk, LARGE_CHUNK_BYTES } from "../../lib/logs/chunk_buffers.ts";
import { RegularFile } from "../../lib/regular_file.ts";
import { ReadHook } from "../support/read_hook.ts";
import { inTime } from "../support/wait.ts";

const NEVER = new AbortController().signal;

/** How long a reader may take for one chunk: far longer than it does. */
const CHUNK_DEADLINE_MS = 2000;

/** What an output consists of, again and again: never 0, which is what a hole reads as. */
const CYCLE_BYTES = 251;
const PATTERN = Uint8Array.from({ length: 1_000_000 }, (_, index) => 1 + index % CYCLE_BYTES);

/** The bytes that belong at these offsets. */
function bytesAt(begin: number, end: number): Uint8Array {
  return PATTERN.subarray(begin % CYCLE_BYTES, begin % CYCLE_BYTES + end - begin);
}

/** An output file that grows and loses its head as a job's does. */
class Output implements AsyncDisposable {
  readonly log: OutputLog;
  readonly #folder: string;
  readonly #file: string;
  #size = 0;
  #cutTo = 0;

  constructor(folder: string, state: { firstOffset?: number; finished?: boolean } = {}) {
    this.#folder = folder;
    this.#file = join(folder, "output");
    Deno.writeTextFileSync(this.#file, "");
    const { firstOffset = 0, finished = false } = state;
    this.log = new OutputLog(this.#file, {
      firstOffset,
      finished,
      gapsPath: `${this.#file}.gaps`,
      timesPath: `${this.#file}.times`,
    });
  }

  static async make(state: { firstOffset?: number; finished?: boolean } = {}): Promise<Output> {
    return new Output(await Deno.makeTempDir({ prefix: "job-worker-logs-" }), state);
  }

  /** Appends so many bytes of the pattern. */
  async grow(length: number): Promise<void> {
    const bytes = bytesAt(this.#size, this.#size + length);
    this.#size += length;
    await Deno.writeFile(this.#file, bytes, { append: true });
  }

  /** Appends so many bytes of the pattern before it returns. */
  growSync(length: number): void {
    const bytes = bytesAt(this.#size, this.#size + length);
    Deno.writeFileSync(this.#file, bytes, { append: true });
    this.#size += length;
  }

  async removeFile(): Promise<void> {
    await Deno.remove(this.#file);
  }

  async write(text: string): Promise<void> {
    this.#size += new TextEncoder().encode(text).length;
    await Deno.writeTextFile(this.#file, text, { append: true });
  }

  /** Moves the beginning, and then makes a hole before it, as rotation does. */
  async cut(offset: number): Promise<void> {
    this.log.firstOffset = offset;
    using file = await Deno.open(this.#file, { write: true });
    await file.seek(this.#cutTo, Deno.SeekMode.Start);
    await file.write(new Uint8Array(Math.max(0, offset - this.#cutTo)));
    this.#cutTo = Math.max(offset, this.#cutTo);
  }

  /** The same, before it returns. */
  cutSync(offset: number): void {
    this.log.firstOffset = offset;
    using file = Deno.openSync(this.#file, { write: true });
    file.writeSync(new Uint8Array(offset));
  }

  /**
   * Reads, and fails at the first chunk that is late, does not follow the one before, or says nothing:
   * a reader that goes round in circles would otherwise never end.
   */
  async *read(range: Partial<ReadRange> = {}, signal = NEVER): AsyncGenerator<Chunk> {
    const whole = { follow: false, ...range };
    const chunks = this.log.read(whole, signal);
    try {
      let end = isTail(whole) ? undefined : range.offset ?? 0;
      for (;;) {
        const { done, value } = await inTime("the next chunk", chunks.next(), CHUNK_DEADLINE_MS);
        if (done === true) return;
        const { offset, bytes, gapBytes } = value;
        if (end === undefined) {
          assert.equal(bytes.length + gapBytes, 0, "a tail says its offset first");
        } else {
          assert(bytes.length + gapBytes > 0, "a chunk says nothing");
          assert.equal(offset, end + gapBytes, "a chunk does not follow the one before");
        }
        end = offset + bytes.length;
        assert(end <= this.#size, "a chunk ends beyond the output");
        yield value;
      }
    } finally {
      // Not waited for: a reader that goes round in circles does not come to its end.
      void chunks.return(undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.log.finish();
    // A log looks at its file for the last time a moment after its end.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Asserts that chunks are the pattern and follow each other; returns where they end. */
function assertPattern(chunks: readonly Chunk[], begin: number): { end: number; gapBytes: number } {
  let end = begin;
  let gaps = 0;
  for (const { offset, bytes, gapBytes } of chunks) {
    assert.equal(offset, end + gapBytes, "a chunk does not begin where the one before has ended");
    const expected = bytesAt(offset, offset + bytes.length);
    if (Buffer.compare(bytes, expected) !== 0) {
      const wrong = bytes.findIndex((byte, index) => byte !== expected[index]);
      assert.fail(`the byte at ${offset + wrong} is ${bytes[wrong]}`);
    }
    end = offset + bytes.length;
    gaps += gapBytes;
  }
  return { end, gapBytes: gaps };
}

async function collect(chunks: AsyncIterable<Chunk>): Promise<Chunk[]> {
  return await Array.fromAsync(chunks, kept);
}

/** A chunk, whose buffer is given back: there are few large ones. */
function kept(chunk: Chunk): Chunk {
  const bytes = chunk.bytes.slice();
  giveBackChunk(chunk.bytes);
  return { ...chunk, bytes };
}

async function textOf(chunks: AsyncIterable<Chunk>): Promise<string> {
  let text = "";
  for await (const { bytes } of chunks) text += new TextDecoder().decode(bytes);
  return text;
}

Deno.test("OutputLog.read: all of a finished output, in chunks", async () => {
  await using output = await Output.make({ finished: true });
  const size = 2 * LARGE_CHUNK_BYTES + 1;
  await output.grow(size);
  for (const follow of [true, false]) {
    const chunks = await collect(output.read({ follow }));
    assert.deepEqual(chunks.map(({ bytes }) => bytes.length), [
      LARGE_CHUNK_BYTES,
      LARGE_CHUNK_BYTES,
      1,
    ]);
    assert.deepEqual(assertPattern(chunks, 0), { end: size, gapBytes: 0 });
  }
});

Deno.test("OutputLog.read: what comes while a reader is busy comes at once, in one piece", async () => {
  await using output = await Output.make();
  await output.grow(1000);
  const chunks = output.log.read({ follow: true }, NEVER);
  const sizes = [(await inTime("the first chunk", chunks.next())).value?.bytes.length];
  for (let step = 0; step < 10; step++) await output.grow(10_000);
  sizes.push((await inTime("the next chunk", chunks.next())).value?.bytes.length);
  assert.deepEqual(sizes, [1000, 100_000]);
  // A reader at the end waits for news, also where there are some by then: a fast writer has always added some.
  await output.grow(1);
  const next = chunks.next();
  output.growSync(10_000);
  assert.equal((await inTime("the last chunk", next)).value?.bytes.length, 10_001);
  await chunks.return(undefined);
});

Deno.test("OutputLog.read: without following, what is written later is left out", async () => {
  await using output = await Output.make();
  await output.grow(LARGE_CHUNK_BYTES + 10);
  const chunks: Chunk[] = [];
  for await (const chunk of output.read()) {
    chunks.push(kept(chunk));
    if (chunks.length < 9) await output.grow(1000);
  }
  assert.equal(assertPattern(chunks, 0).end, LARGE_CHUNK_BYTES + 10);
});

Deno.test("OutputLog.read: following, it goes on until the job has ended, and not beyond", async () => {
  await using output = await Output.make();
  const reading = collect(output.read({ follow: true }));
  for (let count = 0; count < 50; count++) await output.grow(777);
  output.log.finish();
  assert.equal(assertPattern(await reading, 0).end, 50 * 777);
});

Deno.test("OutputLog.read: a reader that waits is woken by a line, an end and an abort", async () => {
  await using output = await Output.make();
  const stop = new AbortController();
  const [first, second] = [
    output.read({ follow: true }),
    output.read({ follow: true }, stop.signal),
  ];
  const waiting = [first.next(), second.next()];
  await output.grow(5);
  for (const next of waiting) assert.equal((await next).value?.bytes.length, 5);
  const atEnd = first.next();
  const aborted = second.next();
  stop.abort();
  assert.equal((await aborted).done, true);
  output.log.finish();
  assert.equal((await atEnd).done, true);
});

Deno.test("OutputLog.read: what is written right before the job's end is read", async () => {
  await using output = await Output.make();
  let isLate = false;
  const { lstatSync } = Deno;
  // The reader sees the end of the file, and has not yet looked whether the job has ended.
  Deno.lstatSync = (path) => {
    const info = lstatSync(path);
    if (!isLate) {
      isLate = true;
      output.growSync(5);
      output.log.finish();
    }
    return info;
  };
  let chunks: Chunk[];
  try {
    chunks = await collect(output.read({ follow: true }));
  } finally {
    Deno.lstatSync = lstatSync;
  }
  assert(isLate);
  assert.deepEqual(chunks.map(({ offset, bytes }) => [offset, bytes.length]), [[0, 5]]);
  assertPattern(chunks, 0);
});

Deno.test("OutputLog.read: what is rotated away during the read is a gap, and not zeros", async () => {
  await using output = await Output.make({ finished: true });
  await output.grow(20_000);
  let isCut = false;
  using _hook = new ReadHook({
    before: () => {
      if (!isCut) output.cutSync(8192);
      isCut = true;
    },
  });
  const chunks = await collect(output.read());
  assert(isCut);
  assert.deepEqual(chunks.map(({ offset, gapBytes }) => [offset, gapBytes]), [[8192, 8192]]);
  assert.deepEqual(assertPattern(chunks, 0), { end: 20_000, gapBytes: 8192 });
});

Deno.test("OutputLog.read: bytes that were read before they were rotated away are no gap for this reader", async () => {
  await using output = await Output.make({ finished: true });
  await output.grow(LARGE_CHUNK_BYTES + 10);
  const chunks: Chunk[] = [];
  for await (const chunk of output.read()) {
    chunks.push(kept(chunk));
    await output.cut(8192);
  }
  assert.deepEqual(chunks.map(({ gapBytes }) => gapBytes), [0, 0]);
  assertPattern(chunks, 0);
});

Deno.test("OutputLog.read: a range of which nothing is left is a gap of its size, however far the cut", async () => {
  await using output = await Output.make({ firstOffset: 8192, finished: true });
  await output.grow(8192);
  for (const [offset, follow] of [[0, false], [0, true], [100, false], [8191, true]] as const) {
    const chunks = await collect(output.read({ offset, follow }));
    const seen = chunks.map((chunk) => [chunk.offset, chunk.bytes.length, chunk.gapBytes]);
    assert.deepEqual(seen, [[8192, 0, 8192 - offset]]);
  }
});

Deno.test("OutputLog.read: an aborted signal reads nothing", async () => {
  await using output = await Output.make();
  await output.grow(5);
  assert.deepEqual(await collect(output.read({ follow: true }, AbortSignal.abort())), []);
});

Deno.test("OutputLog.read: an offset beyond the end waits for its byte", async () => {
  await using output = await Output.make();
  await output.grow(5);
  assert.deepEqual(await collect(output.read({ offset: 8 })), []);
  const reading = collect(output.read({ offset: 8, follow: true }));
  const never = collect(output.read({ offset: 2 ** 63, follow: true }));
  await output.grow(2);
  await output.grow(3);
  output.log.finish();
  assert.equal(assertPattern(await reading, 8).end, 10);
  assert.deepEqual(await never, []);
});

Deno.test("OutputLog.read: an offset beyond the end of a finished output is the end", async () => {
  await using output = await Output.make({ finished: true });
  await output.grow(5);
  for (const offset of [5, 6, 2 ** 40, 2 ** 53, 2 ** 64]) {
    for (const follow of [true, false]) {
      assert.deepEqual(await collect(output.read({ offset, follow })), []);
    }
  }
});

Deno.test("OutputLog.read: a tail says first where it begins", async () => {
  const cases: [text: string, range: Partial<ReadRange>, offset: number][] = [
    ["one\ntwo\n", { tailLines: 1 }, 4],
    ["one\ntwo\n", { tailLines: 2 }, 0],
    ["one\ntwo\n", { tailLines: 3 }, 0],
    ["one\n\n\n", { tailLines: 1 }, 5],
    ["one\n\n\n", { tailLines: 2 }, 4],
    ["one\n\n\n", { tailLines: 3 }, 0],
    ["\n", { tailLines: 1 }, 0],
    ["\n\n", { tailLines: 1 }, 1],
    ["x", { tailLines: 1 }, 0],
    ["one\ntwo\n", { tailBytes: 0 }, 8],
    ["one\ntwo\n", { tailBytes: 8 }, 0],
    ["one\ntwo\n", { tailLines: 9 }, 0],
    ["one\ntwo", { tailLines: 1 }, 4],
    ["one\ntwo", { tailLines: 0 }, 7],
    ["", { tailLines: 1 }, 0],
    ["one\ntwo\n", { tailBytes: 3 }, 5],
    ["one\ntwo\n", { tailBytes: 2 ** 64 }, 0],
    ["", { tailBytes: 1 }, 0],
  ];
  for (const [text, range, offset] of cases) {
    await using output = await Output.make({ finished: true });
    await output.write(text);
    const [first] = await collect(output.read(range));
    assert.deepEqual(first, { offset, bytes: new Uint8Array(), gapBytes: 0 }, text);
    assert.equal(await textOf(output.read(range)), text.slice(offset));
  }
});

Deno.test("OutputLog.read: lines that cross the edge of a read are counted once", async () => {
  for (const edge of [LARGE_CHUNK_BYTES - 1, LARGE_CHUNK_BYTES, LARGE_CHUNK_BYTES + 1]) {
    await using output = await Output.make({ finished: true });
    const last = `${"y".repeat(edge - 1)}\n`;
    await output.write(`first\n${"x".repeat(50)}\n${last}`);
    assert.equal(await textOf(output.read({ tailLines: 1 })), last);
    assert.equal(await textOf(output.read({ tailLines: 2 })), `${"x".repeat(50)}\n${last}`);
  }
});

Deno.test("OutputLog.read: what was rotated away is a gap, told with the first bytes behind it", async () => {
  await using output = await Output.make();
  await output.grow(10_000);
  await output.cut(4096);
  const ranges: [Partial<ReadRange>, gapBytes: number][] = [
    [{}, 4096],
    [{ offset: 96 }, 4000],
    [{ offset: 4096 }, 0],
    [{ offset: 9000 }, 0],
  ];
  for (const [range, gapBytes] of ranges) {
    const chunks = await collect(output.read(range));
    assert.deepEqual(assertPattern(chunks, range.offset ?? 0), { end: 10_000, gapBytes });
    assert.equal(chunks.length, 1);
  }
});

Deno.test("OutputLog.read: a tail begins behind what was rotated away, without a gap", async () => {
  await using output = await Output.make({ firstOffset: 4096 });
  await output.grow(10_000);
  await output.cut(4096);
  for (const range of [{ tailBytes: 9000 }, { tailLines: 1000 }]) {
    const chunks = await collect(output.read(range));
    assert.deepEqual(assertPattern(chunks, 4096), { end: 10_000, gapBytes: 0 });
  }
});

Deno.test("OutputLog.read: a reader that is overtaken is told of a gap, and goes on behind it", async () => {
  await using output = await Output.make();
  await output.grow(LARGE_CHUNK_BYTES + 5000);
  const chunks: Chunk[] = [];
  for await (const chunk of output.read({ follow: true })) {
    chunks.push(kept(chunk));
    if (chunks.length > 1) break;
    await output.grow(100_000);
    await output.cut(LARGE_CHUNK_BYTES + 8192);
  }
  assert.deepEqual(chunks.map(({ gapBytes }) => gapBytes), [0, 8192]);
  assertPattern(chunks, 0);
});

Deno.test("OutputLog.read: where all that was asked for is gone, there is a gap and the end", async () => {
  for (const finished of [true, false]) {
    await using output = await Output.make({ finished });
    await output.grow(LARGE_CHUNK_BYTES + 5000);
    const chunks: Chunk[] = [];
    for await (const chunk of output.read()) {
      chunks.push(kept(chunk));
      if (chunks.length > 9) break;
      await output.grow(100_000);
      await output.cut(LARGE_CHUNK_BYTES + 8192);
    }
    const expected = { end: LARGE_CHUNK_BYTES + 5000, gapBytes: 5000 };
    assert.deepEqual(assertPattern(chunks, 0), expected);
  }
});

Deno.test("OutputLog.read: rotation under readers of any speed makes gaps, and never zeros", async () => {
  await using output = await Output.make();
  const maxBytes = 100_000;
  const steps = 200;
  let step = 0;
  let stepped = Promise.withResolvers<void>();
  // Slow in steps of the writer, not in time: how long a step takes is the machine's.
  const readers = [0, 1, 3, 7].map(async (pauseSteps) => {
    const chunks: Chunk[] = [];
    for await (const chunk of output.read({ follow: true })) {
      chunks.push(kept(chunk));
      const resumeAt = Math.min(step + pauseSteps, steps);
      while (step < resumeAt) await stepped.promise;
    }
    return assertPattern(chunks, 0);
  });
  while (step < steps) {
    await output.grow(20_000);
    const cut = Math.floor(((step + 1) * 20_000 - maxBytes) / 4096) * 4096;
    if (cut > 0) await output.cut(cut);
    step++;
    stepped.resolve();
    stepped = Promise.withResolvers();
  }
  output.log.finish();
  const results = await Promise.all(readers);
  for (const { end } of results) assert.equal(end, steps * 20_000);
  assert(results.some(({ gapBytes }) => gapBytes > 0), "no reader was overtaken");
});

Deno.test("OutputLog.read: a file that is gone is an error", async () => {
  const log = new OutputLog("/nonexistent/output", {
    firstOffset: 0,
    finished: false,
    gapsPath: "/nonexistent/gaps",
    timesPath: "/nonexistent/times",
  });
  await assert.rejects(log.read({ follow: true }, NEVER).next(), Deno.errors.NotFound);
  assert.throws(() => log.size(), Deno.errors.NotFound);
});

Deno.test("OutputLog.size: bytes written, also those that are gone", async () => {
  await using output = await Output.make();
  await output.grow(10_000);
  await output.cut(8192);
  assert.equal(output.log.size().bytes, 10_000);
});

Deno.test("OutputLog.firstOffset: never goes back", () => {
  const log = new OutputLog("/nonexistent/output", {
    firstOffset: 4096,
    finished: true,
    gapsPath: "/nonexistent/gaps",
    timesPath: "/nonexistent/times",
  });
  log.firstOffset = 8192;
  log.firstOffset = 0;
  assert.equal(log.firstOffset, 8192);
});

Deno.test("OutputLog.sync: waits for the disk where there is output, and tells that the file is gone", async () => {
  const { sync } = RegularFile.prototype;
  let syncs = 0;
  RegularFile.prototype.sync = async function () {
    await sync.call(this);
    syncs++;
  };
  try {
    await using output = await Output.make();
    await output.log.sync();
    assert.equal(syncs, 0, "there is nothing to wait for");
    await output.write("x");
    await output.log.sync();
    assert.equal(syncs, 1);
    await output.removeFile();
    await assert.rejects(output.log.sync(), Deno.errors.NotFound);
  } finally {
    RegularFile.prototype.sync = sync;
  }
});
