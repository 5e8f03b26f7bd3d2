/** Lines on their way to a file that stands still, is slow, or fails. */
import assert from "node:assert/strict";
import { type LineFile, LineQueue } from "../../lib/log/line_queue.ts";
import { inTime, until } from "../support/wait.ts";

const decoder = new TextDecoder();

/** Bounds of the queue. */
const MAX_LINES = 4096;
const ORDINARY_LINES = 3072;

/** Nothing here waits for a disk. */
const TIMEOUT_MS = 5000;

/** A fake file: it keeps what is written, and stands still or fails where a test says so. */
class FakeFile implements LineFile {
  readonly writes: string[] = [];
  fails = false;
  #gate: PromiseWithResolvers<void> | undefined;
  #writers = 0;

  stall(): void {
    this.#gate ??= Promise.withResolvers();
  }

  goOn(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async write(lines: readonly Uint8Array[]): Promise<void> {
    assert.equal(this.#writers++, 0, "two writes at once");
    try {
      await this.#gate?.promise;
      if (this.fails) throw new Error("fake: the disk is full");
      this.writes.push(lines.map((line) => decoder.decode(line)).join(""));
    } finally {
      this.#writers--;
    }
  }

  get lines(): string[] {
    return this.writes.join("").split("\n").slice(0, -1);
  }
}

/** A queue with its file, and what it has told. */
class Place {
  readonly file = new FakeFile();
  readonly told: string[] = [];
  readonly queue = new LineQueue({
    file: this.file,
    droppedLine: (count) => `dropped ${count}\n`,
    onFull: () => this.told.push("full"),
    onRoom: (dropped) => this.told.push(`room after ${dropped}`),
  });

  /** Adds lines with numbers. */
  add(count: number, { first = 0, mustKeep = false } = {}): void {
    for (let number = first; number < first + count; number++) {
      this.queue.add(`${number}\n`, { mustKeep });
    }
  }

  async flush(): Promise<void> {
    assert(await this.queue.flush(TIMEOUT_MS), "the file stands still");
  }
}

function numbers(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, index) => `${first + index}`);
}

Deno.test("LineQueue: writes lines in order, one write at a time", async () => {
  const { file, queue } = new Place();
  for (const line of ["one\n", "two\n", "three\n"]) queue.add(line);
  assert(await queue.flush(TIMEOUT_MS));
  queue.add("four\n");
  assert(await queue.flush(TIMEOUT_MS));
  assert.deepEqual(file.lines, ["one", "two", "three", "four"]);
});

Deno.test("LineQueue: a write is as many whole lines as a pipe takes at once, or one longer line", async () => {
  const { file, queue } = new Place();
  const lines = [...Array(20).fill(`${"x".repeat(999)}\n`), `${"y".repeat(10_000)}\n`, "z\n"];
  for (const line of lines) queue.add(line);
  assert(await queue.flush(TIMEOUT_MS));
  assert.equal(file.writes.join(""), lines.join(""));
  for (const write of file.writes) {
    assert(write.endsWith("\n"));
    assert(write.length <= 4096 || write === lines.at(-2), `${write.length} bytes`);
  }
  assert(file.writes.length < 10, "lines are written one by one");
});

Deno.test("LineQueue: where the file stands still, nobody waits, and what has no room is told in its place", async () => {
  const place = new Place();
  place.file.stall();
  place.add(ORDINARY_LINES + 5);
  assert.deepEqual(place.told, ["full"]);
  place.file.goOn();
  await place.flush();
  assert.deepEqual(place.told, ["full", "room after 5"]);
  place.add(1, { first: 9999 });
  await place.flush();
  assert.deepEqual(place.file.lines, [...numbers(ORDINARY_LINES), "dropped 5", "9999"]);
});

Deno.test("LineQueue: a quarter of the room is kept for what must be kept, and not more than all of it", async () => {
  const place = new Place();
  place.file.stall();
  place.add(MAX_LINES);
  place.add(MAX_LINES, { first: 10_000, mustKeep: true });
  place.file.goOn();
  await place.flush();
  const kept = MAX_LINES - ORDINARY_LINES;
  assert.deepEqual(place.file.lines, [
    ...numbers(ORDINARY_LINES),
    ...numbers(kept, 10_000),
    `dropped ${2 * MAX_LINES - MAX_LINES}`,
  ]);
});

Deno.test("LineQueue: bytes are bounded as well as lines", async () => {
  const { file, queue } = new Place();
  file.stall();
  const line = `${"x".repeat(99_999)}\n`;
  for (let number = 0; number < 100; number++) queue.add(line);
  file.goOn();
  assert(await queue.flush(TIMEOUT_MS));
  assert.deepEqual(file.lines.map((line) => line.slice(0, 10)), [
    ...Array(7).fill("x".repeat(10)),
    "dropped 93",
  ]);
});

Deno.test("LineQueue: a line that is longer than the queue is dropped, and told", async () => {
  const { file, queue } = new Place();
  queue.add(`${"x".repeat(2 * 1024 ** 2)}\n`);
  queue.add("next\n");
  assert(await queue.flush(TIMEOUT_MS));
  assert.deepEqual(file.lines, ["dropped 1", "next"]);
});

Deno.test("LineQueue: after a drop, lines are taken again when half of the room is free", async () => {
  const { file, queue, told } = new Place();
  const line = `${"x".repeat(4095)}\n`;
  file.stall();
  for (let number = 0; number < 200; number++) queue.add(line);
  assert.deepEqual(told, ["full"]);
  const fullAt = 192;
  // One write is one line here.
  for (let count = 1; count <= fullAt - 128; count++) {
    file.goOn();
    file.stall();
    await until("a write", () => file.writes.length === count, TIMEOUT_MS);
    if (count === 10) queue.add("too early\n");
  }
  assert.deepEqual(told, ["full", "room after 9"]);
  queue.add("in time\n");
  file.goOn();
  assert(await queue.flush(TIMEOUT_MS));
  assert.deepEqual(file.lines.slice(fullAt), ["dropped 9", "in time"]);
});

Deno.test("LineQueue: lines whose write fails are counted, and told before the next line", async () => {
  const place = new Place();
  place.file.fails = true;
  place.add(3);
  await place.flush();
  place.add(2);
  await place.flush();
  assert.deepEqual(place.file.lines, []);
  place.file.fails = false;
  place.add(1, { first: 7 });
  await place.flush();
  assert.deepEqual(place.file.lines, ["dropped 5", "7"]);
  assert.deepEqual(place.told, [], "room was never missing");
});

Deno.test("LineQueue: a write that fails while lines wait is told before these", async () => {
  const { file, queue } = new Place();
  const line = `${"x".repeat(4095)}\n`;
  file.stall();
  file.fails = true;
  queue.add(line);
  queue.add("next\n");
  const write = file.write;
  file.write = (lines) => {
    file.fails = false;
    return write.call(file, lines);
  };
  // The first write is under way: it fails, and the second does not.
  file.goOn();
  file.fails = true;
  assert(await queue.flush(TIMEOUT_MS));
  assert.deepEqual(file.lines, ["dropped 1", "next"]);
});

Deno.test("LineQueue: flush ends at its deadline where the file stands still", async () => {
  const { file, queue } = new Place();
  assert.equal(await queue.flush(0), true, "nothing waits");
  file.stall();
  queue.add("line\n");
  assert.equal(await inTime("the flush", queue.flush(10), TIMEOUT_MS), false);
  file.goOn();
  assert.equal(await queue.flush(TIMEOUT_MS), true);
  assert.deepEqual(file.lines, ["line"]);
});
