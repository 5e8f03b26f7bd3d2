import { strict as assert } from "node:assert";
import { FrameFlag, FrameReader, FrameType } from "../../common/http2_frames.ts";

interface Parts {
  readonly flags?: number;
  readonly streamId?: number;
  readonly payload?: readonly number[];
}

/** A frame, written byte by byte as RFC 9113, section 4.1, draws it. */
function frame(type: number, { flags = 0, streamId = 0, payload = [] }: Parts = {}): number[] {
  const { length } = payload;
  return [
    ...[length >> 16 & 255, length >> 8 & 255, length & 255, type, flags],
    ...[streamId >>> 24, streamId >> 16 & 255, streamId >> 8 & 255, streamId & 255],
    ...payload,
  ];
}

/** All that a reader tells of bytes that come in pieces of one size. */
function read(bytes: readonly number[], { pieceBytes = Infinity, skipBytes = 0 } = {}): string[] {
  const events: string[] = [];
  let payload: number[] = [];
  const reader = new FrameReader({
    onHeader: ({ type, flags, streamId, payloadBytes }) => {
      payload = [];
      events.push(`type ${type} flags ${flags} stream ${streamId} of ${payloadBytes}`);
    },
    onPayload: (piece, { type }) => {
      assert.ok(piece.length > 0, `an empty piece of type ${type}`);
      payload.push(...piece);
    },
    onEnd: ({ type, payloadBytes }) => {
      assert.equal(payload.length, payloadBytes);
      events.push(`end of type ${type}: ${payload}`);
    },
  }, { skipBytes });
  const whole = Uint8Array.from(bytes);
  for (let position = 0; position < whole.length; position += pieceBytes) {
    reader.take(whole.subarray(position, position + pieceBytes));
  }
  return events;
}

const BYTES = [
  ...frame(FrameType.settings),
  ...frame(FrameType.data, { flags: FrameFlag.padded, streamId: 7, payload: [1, 2, 3] }),
  ...frame(FrameType.data, { streamId: 0x7fff_ffff }),
  ...frame(FrameType.headers, { flags: FrameFlag.endStream, streamId: 1, payload: [9] }),
];
const EVENTS = [
  "type 4 flags 0 stream 0 of 0",
  "end of type 4: ",
  "type 0 flags 8 stream 7 of 3",
  "end of type 0: 1,2,3",
  "type 0 flags 0 stream 2147483647 of 0",
  "end of type 0: ",
  "type 1 flags 1 stream 1 of 1",
  "end of type 1: 9",
];

Deno.test("FrameReader: the same frames wherever the bytes are cut", () => {
  for (let pieceBytes = 1; pieceBytes <= BYTES.length; pieceBytes++) {
    assert.deepEqual(read(BYTES, { pieceBytes }), EVENTS, `pieces of ${pieceBytes}`);
  }
});

Deno.test("FrameReader: skips the preface, even where it comes in several pieces", () => {
  const preface = Array.from({ length: 24 }, () => 3);
  for (let pieceBytes = 1; pieceBytes <= 30; pieceBytes++) {
    assert.deepEqual(read([...preface, ...BYTES], { pieceBytes, skipBytes: 24 }), EVENTS);
  }
});

Deno.test("FrameReader: the reserved bit is not part of a stream identifier", () => {
  const bytes = frame(FrameType.data, { streamId: 5 });
  bytes[5] = 0x80;
  assert.deepEqual(read(bytes)[0], "type 0 flags 0 stream 5 of 0");
});

Deno.test("FrameReader: a length has 24 bits", () => {
  const header = frame(FrameType.data);
  header.splice(0, 3, 1, 2, 3);
  assert.deepEqual(read(header), ["type 0 flags 0 stream 0 of 66051"]);
  header.splice(0, 3, 255, 255, 255);
  assert.deepEqual(read(header), ["type 0 flags 0 stream 0 of 16777215"]);
});

Deno.test("FrameReader: an incomplete frame has no end, an incomplete header no frame", () => {
  assert.deepEqual(read(BYTES.slice(0, 9 + 8)), EVENTS.slice(0, 2));
  assert.deepEqual(read(BYTES.slice(0, 9 + 9 + 2)), EVENTS.slice(0, 3));
});

Deno.test("FrameReader: what a listener throws is thrown on", () => {
  for (const name of ["onHeader", "onPayload", "onEnd"] as const) {
    const listener = { onHeader: () => {}, [name]: () => assert.fail(name) };
    assert.throws(() => new FrameReader(listener).take(Uint8Array.from(BYTES)), new RegExp(name));
  }
});
