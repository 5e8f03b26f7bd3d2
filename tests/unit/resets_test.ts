import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import { guardResets, ResetCounter } from "../../lib/grpc/resets.ts";
import { CapturedLog } from "../support/captured_log.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const RST_STREAM = 3;
const DATA = 0;

function frame(type: number, payload: Uint8Array): Uint8Array {
  return new Uint8Array([0, 0, payload.length, type, 0, 0, 0, 0, 1, ...payload]);
}

/** So many frames, one after the other. */
function repeat(bytes: Uint8Array, count: number): Uint8Array {
  const whole = new Uint8Array(bytes.length * count);
  for (let index = 0; index < count; index++) whole.set(bytes, index * bytes.length);
  return whole;
}

const RESET = frame(RST_STREAM, new Uint8Array(4));

/** A counter whose client has sent its preface. */
function begun(): ResetCounter {
  const counter = new ResetCounter(0);
  assert(!counter.isTooMany(PREFACE, 0));
  return counter;
}

Deno.test("ResetCounter: 800 at once are allowed, one more is not", () => {
  const counter = begun();
  assert(!counter.isTooMany(repeat(RESET, 800), 0));
  assert(counter.isTooMany(RESET, 0));
});

Deno.test("ResetCounter: it stays below the library's bound, whenever they come", () => {
  for (const stepMs of [1, 10, 100, 999, 1000, 1001]) {
    const counter = begun();
    let count = 0;
    let nowMs = 0;
    while (nowMs < 60_000) {
      if (counter.isTooMany(RESET, nowMs)) break;
      count += 1;
      if (count > 800) nowMs += stepMs;
    }
    // The library counts whole seconds only.
    assert(count <= 1000 + 33 * Math.floor(nowMs / 1000), `${count} within ${nowMs} ms`);
  }
});

Deno.test("ResetCounter: a few resets a second are allowed for ever", () => {
  const counter = begun();
  for (let second = 1; second < 10_000; second++) {
    assert(!counter.isTooMany(repeat(RESET, 30), second * 1000));
  }
});

Deno.test("ResetCounter: other frames are not counted, also with resets in their payload", () => {
  const counter = begun();
  const data = frame(DATA, repeat(RESET, 10));
  assert(!counter.isTooMany(repeat(data, 10_000), 0));
});

Deno.test("ResetCounter: ten thousand small pieces of data a second are allowed, and no more", () => {
  const END_STREAM = 1;
  const piece = frame(DATA, new Uint8Array(63));
  const last = Uint8Array.from(piece);
  last[4] = END_STREAM;
  const counter = begun();
  assert(!counter.isTooMany(repeat(piece, 10_000), 0));
  assert(!counter.isTooMany(repeat(piece, 10_000), 1000));
  // Neither the last ones of requests nor larger ones count.
  assert(!counter.isTooMany(repeat(last, 10), 1000));
  assert(!counter.isTooMany(repeat(frame(DATA, new Uint8Array(64)), 10), 1000));
  assert(counter.isTooMany(piece, 1000));
});

Deno.test("ResetCounter: however the bytes are cut, the count is the same", () => {
  const bytes = new Uint8Array([...PREFACE, ...repeat(RESET, 801)]);
  for (const size of [1, 7, 13, 4096]) {
    const counter = new ResetCounter(0);
    let isTooMany = false;
    let offset = 0;
    while (!isTooMany) {
      assert(offset < bytes.length, "it is never too many");
      isTooMany = counter.isTooMany(bytes.subarray(offset, offset + size), 0);
      offset += size;
    }
    assert(offset > bytes.length - RESET.length, `too early, at ${offset} of ${bytes.length}`);
  }
});

/** A TLS socket that the HTTP/2 library listens to; it keeps what reaches the library. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  delivered = 0;
  deliver = (bytes: Uint8Array) => {
    this.delivered += bytes.length;
  };

  constructor() {
    super();
    this.on("data", (bytes: Uint8Array) => this.deliver(bytes));
  }

  destroy(): void {
    this.destroyed = true;
  }
}

function guarded() {
  const socket = new FakeSocket();
  const storms = { count: 0 };
  guardResets(socket as never, () => storms.count++);
  return { socket, storms };
}

Deno.test("guardResets: harmless bytes reach the HTTP/2 library once, unchanged", () => {
  const { socket, storms } = guarded();
  socket.emit("data", PREFACE);
  socket.emit("data", RESET);
  assert.equal(socket.delivered, PREFACE.length + RESET.length);
  assert.deepEqual([socket.destroyed, storms.count], [false, 0]);
});

Deno.test("guardResets: the reset that is too many never reaches the library, nor what follows", () => {
  const { socket, storms } = guarded();
  socket.emit("data", PREFACE);
  socket.emit("data", repeat(RESET, 900));
  socket.emit("data", RESET);
  assert.equal(socket.delivered, PREFACE.length);
  assert.deepEqual([socket.destroyed, storms.count], [true, 1]);
});

Deno.test("guardResets: an error of the library closes its connection, and nothing else", () => {
  using log = new CapturedLog();
  const { socket, storms } = guarded();
  socket.deliver = () => {
    throw new Error("invalid frame");
  };
  socket.emit("data", PREFACE);
  assert.deepEqual([socket.destroyed, storms.count], [true, 0]);
  assert.deepEqual(log.messages(), ["a connection failed and is closed"]);
});

Deno.test("guardResets: a runtime that reads its socket otherwise is noticed", () => {
  const none = new EventEmitter();
  const two = new FakeSocket();
  two.on("data", () => {});
  for (const socket of [none, two]) {
    assert.throws(() => guardResets(socket as never, () => {}), /the runtime has changed/);
  }
});
