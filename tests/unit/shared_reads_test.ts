/** Reading over files in memory, which count their reads and answer when a test says so. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { BLOCK_BYTES, SharedReads } from "../../lib/logs/shared_reads.ts";
import { isSettled } from "../support/settled.ts";

const CHUNK = 64 * 1024;

let nextKey = 1;

/** A file in memory. */
class FakeFile {
  readonly key = `file ${nextKey++}`;
  bytes: Uint8Array;
  /** Offsets of the reads. */
  readonly readsAt: number[] = [];
  bytesRead = 0;
  /** Given: reads answer when it settles, with what there was when they began. */
  gate: Promise<void> | undefined;

  constructor(bytes: number | Uint8Array) {
    this.bytes = typeof bytes === "number" ? pattern(bytes) : bytes;
  }

  async read(buffer: Uint8Array, offset: number): Promise<number> {
    this.readsAt.push(offset);
    const part = this.bytes.slice(offset, offset + buffer.length);
    await this.gate;
    buffer.set(part);
    this.bytesRead += part.length;
    return part.length;
  }
}

/** Bytes without a zero that differ from block to block. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = 1 + at % 251;
  return bytes;
}

function readAt(
  file: FakeFile,
  reads: SharedReads,
  offset: number,
  { isFresh = false, maxBytes = CHUNK } = {},
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return reads.read(file, { offset, maxBytes, isFresh });
}

/** Whether bytes are those of a file at an offset. */
function isPart(
  read: Uint8Array<ArrayBuffer> | undefined,
  file: FakeFile,
  offset: number,
): boolean {
  const bytes = read ?? new Uint8Array();
  return Buffer.compare(bytes, file.bytes.subarray(offset, offset + bytes.length)) === 0;
}

/** Reads all of a file in order, and holds it against what the file has. */
async function readAll(file: FakeFile, reads: SharedReads): Promise<void> {
  let offset = 0;
  for (;;) {
    const read = await readAt(file, reads, offset);
    if (read === undefined) break;
    assert(isPart(read, file, offset));
    offset += read.length;
  }
  assert.equal(offset, file.bytes.length);
}

/** A second reader of each file. */
function joinAll(files: readonly FakeFile[]): Disposable {
  const readers = new DisposableStack();
  for (const { key } of files) readers.use(SharedReads.join(key));
  return readers;
}

Deno.test("SharedReads: readers get all bytes in order, by larger reads than their chunks", async () => {
  const file = new FakeFile(3 * BLOCK_BYTES + 1000);
  using reader = SharedReads.join(file.key);
  using _other = SharedReads.join(file.key);
  await readAll(file, reader.reads);
  assert(file.readsAt.length <= 5, `${file.readsAt}`);
});

Deno.test("SharedReads: who reads alone reads what he asks for, and nothing is kept", async () => {
  const file = new FakeFile(3 * BLOCK_BYTES + 1000);
  using reader = SharedReads.join(file.key);
  const large = await readAt(file, reader.reads, 0, { maxBytes: BLOCK_BYTES });
  assert.equal(large?.length, BLOCK_BYTES);
  assert(isPart(large, file, 0));
  const last = await readAt(file, reader.reads, 3 * BLOCK_BYTES, { maxBytes: BLOCK_BYTES });
  assert.equal(last?.length, 1000);
  assert(isPart(last, file, 3 * BLOCK_BYTES));
  assert.equal(await readAt(file, reader.reads, file.bytes.length), undefined);
  assert.deepEqual(file.readsAt, [0, 3 * BLOCK_BYTES, file.bytes.length]);
  assert.equal(SharedReads.keptBytes, 0);
});

Deno.test("SharedReads: a reader goes on where another one comes and leaves", async () => {
  const file = new FakeFile(5 * BLOCK_BYTES);
  using reader = SharedReads.join(file.key);
  let offset = 0;
  const goOn = async () => {
    const read = await readAt(file, reader.reads, offset);
    assert(isPart(read, file, offset));
    offset += read?.length ?? 0;
  };
  await goOn();
  const other = SharedReads.join(file.key);
  await goOn();
  assert(isPart(await readAt(file, other.reads, 0), file, 0));
  await goOn();
  other[Symbol.dispose]();
  assert.equal(SharedReads.keptBytes, 0, "one reader needs no blocks");
  while (offset < file.bytes.length) await goOn();
});

Deno.test("SharedReads: readers at the same place read the file once, each into memory of its own", async () => {
  const file = new FakeFile(2 * BLOCK_BYTES);
  const readers = Array.from({ length: 50 }, () => SharedReads.join(file.key));
  for (let offset = 0; offset < file.bytes.length; offset += CHUNK) {
    const all = await Promise.all(readers.map(({ reads }) => readAt(file, reads, offset)));
    for (const read of all) {
      assert(isPart(read, file, offset));
      assert.equal(read?.length, CHUNK);
      // As the head of a message is written there.
      new Uint8Array(read?.buffer ?? new ArrayBuffer()).fill(0);
    }
  }
  assert.deepEqual(file.readsAt, [0, BLOCK_BYTES]);
  for (const reader of readers) reader[Symbol.dispose]();
});

Deno.test("SharedReads: what is appended is read, and only that", async () => {
  const file = new FakeFile(0);
  using reader = SharedReads.join(file.key);
  using _other = SharedReads.join(file.key);
  const whole = pattern(100);
  for (let size = 10; size <= whole.length; size += 10) {
    assert.equal(await readAt(file, reader.reads, size - 10), undefined);
    file.bytes = whole.slice(0, size);
    const read = await readAt(file, reader.reads, size - 10);
    assert.deepEqual(read, whole.slice(size - 10, size));
  }
  assert.deepEqual(await readAt(file, reader.reads, 0), whole);
});

Deno.test("SharedReads: no more than was asked for", async () => {
  const file = new FakeFile(1000);
  using reader = SharedReads.join(file.key);
  using _other = SharedReads.join(file.key);
  assert.equal((await readAt(file, reader.reads, 10, { maxBytes: 5 }))?.length, 5);
  assert.equal((await readAt(file, reader.reads, 15, { maxBytes: 5 }))?.[0], file.bytes[15]);
});

Deno.test("SharedReads: the present end is not that of a read that began before", async () => {
  const file = new FakeFile(0);
  using reader = SharedReads.join(file.key);
  using other = SharedReads.join(file.key);
  const gate = Promise.withResolvers<void>();
  file.gate = gate.promise;
  const early = readAt(file, reader.reads, 0);
  // Written, and then the job ends: the other reader knows that, and must not miss it.
  file.bytes = pattern(5);
  const late = readAt(file, other.reads, 0, { isFresh: true });
  assert(!await isSettled(late));
  gate.resolve();
  assert.equal(await early, undefined);
  assert.deepEqual(await late, pattern(5));
});

Deno.test("SharedReads: a read that fails does so for its own reader alone", async () => {
  const broken = new FakeFile(10);
  const gate = Promise.withResolvers<void>();
  broken.gate = gate.promise;
  using reader = SharedReads.join(broken.key);
  const failing = readAt(broken, reader.reads, 0);
  const good = new FakeFile(10);
  const other = readAt(good, reader.reads, 0);
  gate.reject(new Error("the disk does not answer"));
  await assert.rejects(failing, /does not answer/);
  assert.deepEqual(await other, good.bytes);
});

Deno.test("SharedReads: nothing is kept when the last reader has left", async () => {
  const file = new FakeFile(100);
  const first = SharedReads.join(file.key);
  const second = SharedReads.join(file.key);
  const third = SharedReads.join(file.key);
  await readAt(file, first.reads, 0);
  first[Symbol.dispose]();
  await readAt(file, second.reads, 0);
  assert.equal(file.readsAt.length, 1);
  second[Symbol.dispose]();
  third[Symbol.dispose]();
  assert.equal(SharedReads.keptBytes, 0);
  using later = SharedReads.join(file.key);
  await readAt(file, later.reads, 0);
  assert.equal(file.readsAt.length, 2);
});

Deno.test("SharedReads: the blocks of one output are bounded, and so are those of all", async () => {
  const file = new FakeFile(8 * BLOCK_BYTES);
  using ahead = SharedReads.join(file.key);
  using _behind = SharedReads.join(file.key);
  for (let block = 0; block < 8; block++) await readAt(file, ahead.reads, block * BLOCK_BYTES);
  assert.equal(SharedReads.keptBytes, 1024 ** 2);
  await readAt(file, ahead.reads, 7 * BLOCK_BYTES);
  assert.equal(file.readsAt.length, 8, "the last one is kept");
  await readAt(file, ahead.reads, 3 * BLOCK_BYTES);
  assert.equal(file.readsAt.length, 9, "the fifth last one is not");

  const others = Array.from({ length: 40 }, () => new FakeFile(10));
  const readers = others.map((other) => ({ other, reader: SharedReads.join(other.key) }));
  using _second = joinAll(others);
  for (let turn = 0; turn < 2; turn++) {
    for (const { other, reader } of readers) await readAt(other, reader.reads, 0);
  }
  assert.equal(SharedReads.keptBytes, 8 * 1024 ** 2);
  for (const { reader } of readers) reader[Symbol.dispose]();
});

Deno.test("SharedReads: where many outputs are read, nobody reads what is thrown away before its use", async () => {
  const content = pattern(BLOCK_BYTES);
  const files = Array.from({ length: 40 }, () => new FakeFile(content));
  const readers = files.map((file) => ({ file, reader: SharedReads.join(file.key) }));
  using _second = joinAll(files);
  for (let offset = 0; offset < BLOCK_BYTES; offset += CHUNK) {
    for (const { file, reader } of readers) await readAt(file, reader.reads, offset);
  }
  for (const { file, reader } of readers) {
    assert.equal(file.bytesRead, file.bytes.length);
    reader[Symbol.dispose]();
  }
});

Deno.test("SharedReads: reads that do not return hold up nobody else", async () => {
  const gate = Promise.withResolvers<void>();
  const stuck = Array.from({ length: 40 }, () => new FakeFile(10));
  const readers = stuck.map((file) => ({ file, reader: SharedReads.join(file.key) }));
  using _second = joinAll(stuck);
  const reading = readers.map(({ file, reader }) => {
    file.gate = gate.promise;
    return readAt(file, reader.reads, 0);
  });
  const file = new FakeFile(10);
  using other = SharedReads.join(file.key);
  assert.deepEqual(await readAt(file, other.reads, 0), file.bytes);
  assert.equal(SharedReads.keptBytes, 8 * 1024 ** 2);
  gate.resolve();
  for (const read of await Promise.all(reading)) assert.equal(read?.length, 10);
  for (const { reader } of readers) reader[Symbol.dispose]();
});
