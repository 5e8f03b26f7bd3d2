import { strict as assert } from "node:assert";
import { incompleteUtf8Tail } from "../../lib/grpc/utf8.ts";

const encoder = new TextEncoder();

Deno.test("incompleteUtf8Tail: a text cut at any byte is whole without its tail", () => {
  const bytes = encoder.encode("a\u{e9}\u{20ac}\u{1f600}z");
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    const whole = part.subarray(0, length - incompleteUtf8Tail(part));
    new TextDecoder("utf-8", { fatal: true }).decode(whole);
    assert(length - whole.length < 4);
  }
});

Deno.test("incompleteUtf8Tail: whole characters and bytes that are not UTF-8 have no tail", () => {
  const cases = [
    [],
    [0x41],
    [0xc3, 0xa9],
    [0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0x98, 0x80],
    [0x80],
    [0x80, 0x80, 0x80, 0x80],
    [0xff],
    [0xfe, 0x80],
    [0xf8, 0x80, 0x80],
  ];
  for (const bytes of cases) {
    assert.equal(incompleteUtf8Tail(Uint8Array.from(bytes)), 0, `${bytes}`);
  }
});

Deno.test("incompleteUtf8Tail: the beginning of a character is a tail, as long as it is", () => {
  const cases: [number[], number][] = [
    [[0x41, 0xc3], 1],
    [[0x41, 0xe2], 1],
    [[0x41, 0xe2, 0x82], 2],
    [[0xf0], 1],
    [[0xf0, 0x9f], 2],
    [[0xf0, 0x9f, 0x98], 3],
  ];
  for (const [bytes, length] of cases) {
    assert.equal(incompleteUtf8Tail(Uint8Array.from(bytes)), length, `${bytes}`);
  }
});
