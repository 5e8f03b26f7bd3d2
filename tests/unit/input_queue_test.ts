/** What has come of an input: checked, and in order. */
import { strict as assert } from "node:assert";
import { InputQueue, MAX_INPUT_MESSAGE_BYTES } from "../../lib/grpc/input_queue.ts";

const bytes = (text: string) => new TextEncoder().encode(text) as never;
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const NONE = bytes("");

Deno.test("InputQueue: what came is there in order, piece by piece, until it is dropped", () => {
  const queue = new InputQueue(7);
  queue.take({ offset: 7, data: bytes("abc"), end: false }, 100);
  queue.take({ offset: 10, data: bytes("de"), end: true }, 100);
  assert.deepEqual([text(queue.peek(4)), queue.length, queue.isEnded], ["abcd", 5, true]);
  queue.drop(4);
  assert.deepEqual([text(queue.peek(4)), queue.length], ["e", 1]);
  queue.drop(1);
  assert.equal(queue.length, 0);
});

Deno.test("InputQueue: much that comes while little is taken stays as it came", () => {
  const queue = new InputQueue(0);
  const sent: number[] = [];
  const got: number[] = [];
  for (let round = 0; sent.length < 150_000; round++) {
    const data = Uint8Array.from({ length: 10_007 }, (_, index) => (index * 7 + round) % 251);
    queue.take({ offset: sent.length, data: data as never, end: false }, 1e9);
    sent.push(...data);
    const piece = queue.peek(3001);
    got.push(...piece);
    queue.drop(piece.length);
  }
  while (queue.length > 0) {
    const piece = queue.peek(1e9);
    got.push(...piece);
    queue.drop(piece.length);
  }
  assert(got.length === sent.length && got.every((byte, index) => byte === sent[index]));
});

Deno.test("InputQueue: what is lent stays as it is while more comes, and memory is given back", () => {
  const queue = new InputQueue(0);
  queue.take({ offset: 0, data: bytes("lent"), end: false }, 1e9);
  const lent = queue.peek(4);
  let offset = 4;
  for (let count = 0; count < 20; count++) {
    queue.take({ offset, data: new Uint8Array(10_000) as never, end: false }, 1e9);
    queue.release();
    offset += 10_000;
  }
  assert.deepEqual([text(lent), queue.length], ["lent", 200_004]);
  queue.drop(4);
  const all = queue.peek(1e9);
  assert.equal(all.length, 200_000);
  queue.drop(all.length);
  queue.release();
  assert(queue.peek(1).buffer.byteLength < 100_000);
});

Deno.test("InputQueue: offsets that lie, and more than is allowed, are refused", () => {
  const queue = new InputQueue(5);
  const refuse = (offset: number, data: never, end: boolean, pattern: RegExp) =>
    assert.throws(() => queue.take({ offset, data, end }, 10), pattern);
  refuse(4, bytes("x"), false, /byte 5 comes next, and not byte 4/);
  refuse(6, bytes("x"), false, /byte 5 comes next, and not byte 6/);
  refuse(0, NONE, true, /byte 5 comes next/);
  refuse(5, bytes("123456"), false, /bytes from 10 on may not be sent yet/);
  refuse(5, new Uint8Array(MAX_INPUT_MESSAGE_BYTES + 1) as never, false, /at most 262144 bytes/);
  queue.take({ offset: 5, data: bytes("12345"), end: true }, 10);
  refuse(10, bytes("x"), false, /ended already/);
  assert.equal(text(queue.peek(100)), "12345");
});

Deno.test("InputQueue: a message without data says nothing but that the sender is alive", () => {
  const queue = new InputQueue(5);
  queue.take({ offset: 0, data: NONE, end: false }, 0);
  assert.equal(queue.length, 0);
});
