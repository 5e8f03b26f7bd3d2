import { strict as assert } from "node:assert";
import { AnswerReader, FrameError } from "../../client/connection/bulk/answer_reader.ts";
import {
  prefaceFrames,
  requestFrames,
  WINDOW_BYTES,
  windowUpdates,
} from "../../client/connection/bulk/frames.ts";
import { frameMessage, MessageError, MessageReader } from "../../client/connection/messages.ts";

const DATA = 0, HEADERS = 1, RESET = 3, SETTINGS = 4, PING = 6, GOAWAY = 7;
const END_STREAM = 1, ACK = 1, PADDED = 8;

interface Parts {
  flags?: number;
  stream?: number;
  payload?: readonly number[];
}

function frame(type: number, { flags = 0, stream = 1, payload = [] }: Parts = {}): Uint8Array {
  const { length } = payload;
  return Uint8Array.from([
    ...[length >> 16, length >> 8 & 255, length & 255, type, flags],
    ...[stream >>> 24, stream >> 16 & 255, stream >> 8 & 255, stream & 255],
    ...payload,
  ]);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** What a reader says of some bytes that come in pieces of a size. */
function read(bytes: Uint8Array, pieceBytes = Infinity) {
  const data: number[] = [];
  const replies: number[][] = [];
  let ends = 0;
  const reader = new AnswerReader({
    onData: (piece) => data.push(...piece),
    onReply: (frames) => replies.push([...frames]),
    onEnd: () => ends++,
  });
  for (let position = 0; position < bytes.length; position += pieceBytes) {
    reader.take(bytes.subarray(position, position + pieceBytes));
  }
  return { data, replies, ends };
}

Deno.test("AnswerReader: the stream's data, wherever the bytes are cut", () => {
  const bytes = concatenate([
    frame(SETTINGS, { stream: 0, payload: [0, 4, 0, 1, 0, 0] }),
    frame(HEADERS, { flags: 4, payload: [0x88] }),
    frame(DATA, { payload: [1, 2, 3] }),
    frame(DATA, { payload: [] }),
    frame(DATA, { payload: [4] }),
    frame(HEADERS, { flags: END_STREAM | 4, payload: [0x88] }),
  ]);
  for (let pieceBytes = 1; pieceBytes <= bytes.length; pieceBytes++) {
    const { data, replies, ends } = read(bytes, pieceBytes);
    assert.deepEqual([data, ends], [[1, 2, 3, 4], 1]);
    assert.deepEqual(replies, [[...frame(SETTINGS, { flags: ACK, stream: 0 })]]);
  }
});

Deno.test("AnswerReader: frames of the greatest size, wherever they are cut", () => {
  const payload = Array.from({ length: 16384 }, (_, index) => index % 251);
  const count = 50;
  const bytes = concatenate(Array.from({ length: count }, () => frame(DATA, { payload })));
  for (const pieceBytes of [16384, 16392, 100_000]) {
    const { data } = read(bytes, pieceBytes);
    assert.equal(data.length, count * payload.length);
    assert.ok(data.every((byte, index) => byte === index % 16384 % 251));
  }
});

Deno.test("AnswerReader: a ping is answered with its own bytes, an acknowledgement is not answered", () => {
  const payload = [1, 2, 3, 4, 5, 6, 7, 8];
  const ping = { stream: 0, payload };
  const answer = [...frame(PING, { ...ping, flags: ACK })];
  assert.deepEqual(read(frame(PING, ping)).replies, [answer]);
  const two = concatenate([frame(PING, ping), frame(PING, ping)]);
  for (const pieceBytes of [1, 3, 12]) {
    assert.deepEqual(read(two, pieceBytes).replies, [answer, answer]);
  }
  assert.deepEqual(read(frame(PING, { ...ping, flags: ACK })).replies, []);
  assert.deepEqual(read(frame(SETTINGS, { stream: 0, flags: ACK })).replies, []);
});

Deno.test("AnswerReader: each way to end a stream ends it, and nothing else does", () => {
  for (
    const [what, bytes, ends] of [
      ["data", frame(DATA, { flags: END_STREAM }), 1],
      ["headers", frame(HEADERS, { flags: END_STREAM }), 1],
      ["a reset", frame(RESET, { payload: [0, 0, 0, 8] }), 1],
      ["a reset of another stream", frame(RESET, { stream: 3, payload: [0, 0, 0, 8] }), 0],
      ["another stream's end", frame(HEADERS, { stream: 3, flags: END_STREAM }), 0],
      ["an acknowledgement", frame(SETTINGS, { stream: 0, flags: ACK }), 0],
      ["a farewell", frame(GOAWAY, { stream: 0, payload: [0, 0, 0, 1, 0, 0, 0, 0] }), 0],
      ["headers that go on", frame(HEADERS), 0],
      ["a type that is not known", frame(99, { flags: END_STREAM }), 0],
    ] as const
  ) {
    assert.equal(read(bytes).ends, ends, what);
  }
});

Deno.test("AnswerReader: padding and other streams' frames are left out of the data", () => {
  const padded = frame(DATA, { flags: PADDED, payload: [2, 7, 8, 0, 0] });
  const other = frame(DATA, { stream: 3, payload: [9] });
  const bytes = concatenate([padded, other, padded]);
  for (let pieceBytes = 1; pieceBytes <= bytes.length; pieceBytes++) {
    assert.deepEqual(read(bytes, pieceBytes).data, [7, 8, 7, 8]);
  }
  assert.deepEqual(read(frame(DATA, { flags: PADDED, payload: [1, 0] })).data, []);
});

Deno.test("AnswerReader: updates the windows for half of what may be sent, padding included", () => {
  const payload = Array.from({ length: 16384 }, () => 0);
  payload[0] = 255;
  const count = WINDOW_BYTES / 2 / payload.length;
  const one = frame(DATA, { flags: PADDED, payload });
  const bytes = new Uint8Array(one.length * count);
  for (let index = 0; index < count; index++) bytes.set(one, index * one.length);
  assert.deepEqual(read(bytes.subarray(0, -1), 65_536).replies, []);
  assert.deepEqual(read(bytes, 65_536).replies, [[...windowUpdates(WINDOW_BYTES / 2)]]);
});

Deno.test("AnswerReader: a frame that is too long, or padded beyond its end, is an error", () => {
  const long = frame(DATA, { payload: [] });
  long.set([0, 0x40, 1]);
  const inHuge = frame(DATA, { payload: [] });
  inHuge.set([255, 255, 255]);
  for (
    const bytes of [
      long,
      inHuge,
      frame(DATA, { flags: PADDED }),
      frame(DATA, { flags: PADDED, payload: [1] }),
      frame(DATA, { flags: PADDED, payload: [255, 1, 2] }),
    ]
  ) {
    assert.throws(() => read(bytes), FrameError);
  }
});

Deno.test("requestFrames: the preface first, then well-formed frames, of which the last ends it", () => {
  const message = frameMessage(Uint8Array.of(1, 2, 3));
  // The second name is longer than seven bits can say.
  for (const authority of ["localhost:50051", `${"x".repeat(300)}:1`]) {
    const request = requestFrames({ path: "/JobService/Stream", authority, message });
    const bytes = concatenate([prefaceFrames(), request]);
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert.equal(new TextDecoder().decode(bytes.subarray(0, preface.length)), preface);
    const { data, ends } = read(bytes.subarray(preface.length));
    assert.deepEqual([data, ends], [[0, 0, 0, 0, 3, 1, 2, 3], 1]);
    assert.ok(new TextDecoder().decode(bytes).includes(authority));
  }
});

Deno.test("windowUpdates: for the connection and for the stream", () => {
  assert.deepEqual([...windowUpdates(0x01020304)], [
    ...frame(8, { stream: 0, payload: [1, 2, 3, 4] }),
    ...frame(8, { stream: 1, payload: [1, 2, 3, 4] }),
  ]);
});

function messagesOf(bytes: Uint8Array, pieceBytes = bytes.length): number[][] {
  const messages: number[][] = [];
  const reader = new MessageReader(1000, (message) => messages.push([...message]));
  for (let position = 0; position < bytes.length; position += pieceBytes) {
    reader.take(bytes.subarray(position, position + pieceBytes));
  }
  return messages;
}

Deno.test("MessageReader: messages, empty ones too, wherever the bytes are cut", () => {
  const messages = [
    [1, 2, 3],
    [],
    [],
    [4],
    Array.from({ length: 1000 }, (_, index) => index % 256),
  ];
  const bytes = concatenate(messages.map((message) => frameMessage(Uint8Array.from(message))));
  for (const pieceBytes of [1, 2, 3, 4, 5, 6, 7, 8, 100, bytes.length]) {
    assert.deepEqual(messagesOf(bytes, pieceBytes), messages);
  }
});

Deno.test("MessageReader: an incomplete message is not passed on", () => {
  const bytes = frameMessage(Uint8Array.of(1, 2));
  for (let length = 0; length < bytes.length; length++) {
    assert.deepEqual(messagesOf(bytes.subarray(0, length), 1), []);
  }
});

Deno.test("MessageReader: a compressed message and one that is too long are errors", () => {
  for (
    const prefix of [
      [1, 0, 0, 0, 1, 0],
      [0, 0, 0, 3, 233],
      [0, 255, 255, 255, 255],
    ]
  ) {
    assert.throws(() => messagesOf(Uint8Array.from(prefix)), MessageError);
  }
});
