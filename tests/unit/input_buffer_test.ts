/** The client's part of an input that the server does not hold yet. */
import { strict as assert } from "node:assert";
import { InputBuffer } from "../../client/jobs/input_buffer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** All pieces that may be sent now, as text with their offsets. */
function sent(buffer: InputBuffer, allowedBytes: number): string[] {
  const pieces: string[] = [];
  for (let piece = buffer.next(allowedBytes); piece; piece = buffer.next(allowedBytes)) {
    const { offset, data, end } = piece;
    pieces.push(`${offset}:${new TextDecoder().decode(data)}${end ? "." : ""}`);
  }
  return pieces;
}

Deno.test("InputBuffer: sends what is allowed, in order, and the end once", () => {
  const buffer = new InputBuffer();
  buffer.push(bytes("abc"));
  buffer.push(bytes("def"));
  assert.deepEqual(sent(buffer, 4), ["0:abcd"]);
  assert.deepEqual(sent(buffer, 4), []);
  buffer.end();
  assert.deepEqual(sent(buffer, 100), ["4:ef."]);
  assert.deepEqual(sent(buffer, 100), []);
});

Deno.test("InputBuffer: an end that comes after the last byte is sent by itself; so is that of an empty input", () => {
  const buffer = new InputBuffer();
  buffer.push(bytes("a"));
  assert.deepEqual(sent(buffer, 1), ["0:a"]);
  buffer.end();
  assert.deepEqual(sent(buffer, 1), ["1:."]);
  const empty = new InputBuffer();
  empty.end();
  assert.deepEqual(sent(empty, 0), ["0:."]);
});

Deno.test("InputBuffer: a new connection goes on where the server is, in the middle of a piece too", () => {
  const buffer = new InputBuffer();
  for (const text of ["abc", "def", "ghi"]) buffer.push(bytes(text));
  buffer.end();
  assert.deepEqual(sent(buffer, 100), ["0:abcdefghi."]);
  assert.equal(buffer.hold(2), 2);
  assert(buffer.resume(4));
  assert.deepEqual(sent(buffer, 100), ["4:efghi."]);
  assert.equal(buffer.hold(9), 5);
  // The end alone was lost.
  assert(buffer.resume(9));
  assert.deepEqual(sent(buffer, 100), ["9:."]);
});

Deno.test("InputBuffer: a server that has lost what it held, or has more than was sent, is not gone on with", () => {
  const buffer = new InputBuffer();
  buffer.push(bytes("abcdef"));
  sent(buffer, 100);
  buffer.hold(3);
  assert(!buffer.resume(2));
  assert(!buffer.resume(7));
  // What it says it holds of what was never sent is not forgotten.
  const other = new InputBuffer();
  other.push(bytes("abcdef"));
  assert.deepEqual(sent(other, 2), ["0:ab"]);
  assert.equal(other.hold(6), 2);
  assert.deepEqual(sent(other, 6), ["2:cdef"]);
});

Deno.test("InputBuffer: what was read in many pieces is sent in few, none longer than the server takes", () => {
  const buffer = new InputBuffer();
  for (let index = 0; index < 9; index++) buffer.push(new Uint8Array(65_536).fill(index));
  const pieces = [0, 1, 2].map(() => buffer.next(10 * 65_536));
  assert.deepEqual(pieces.map((piece) => piece?.data.length), [262_144, 262_144, 65_536]);
  assert.deepEqual(pieces.map((piece) => piece?.data.at(-1)), [3, 7, 8]);
});

Deno.test("InputBuffer: what is not the last of the job's input has no end, also over another connection", () => {
  const buffer = new InputBuffer();
  buffer.push(bytes("abc"));
  buffer.end({ isLast: false });
  assert.deepEqual(sent(buffer, 100), ["0:abc"]);
  assert(buffer.resume(1));
  assert.deepEqual(sent(buffer, 100), ["1:bc"]);
  assert(!buffer.isHeld);
  buffer.hold(3);
  assert(buffer.isHeld);
});

Deno.test("InputBuffer: begins behind what others have sent", () => {
  const buffer = new InputBuffer();
  buffer.push(bytes("abc"));
  buffer.startAt(100);
  assert(buffer.resume(100));
  assert.deepEqual(sent(buffer, 1000), ["100:abc"]);
});

Deno.test("InputBuffer: no more is read than the server lets be under way", () => {
  const buffer = new InputBuffer();
  let read = 0;
  while (buffer.hasRoom) {
    buffer.push(new Uint8Array(100_000));
    read += 100_000;
  }
  assert(read > 2 * 1024 ** 2 && read < 2 * 1024 ** 2 + 100_001, String(read));
  sent(buffer, read);
  buffer.hold(read);
  assert(buffer.hasRoom);
  buffer.end();
  assert(!buffer.hasRoom);
});
