/** Backpressure over a fake socket and fake streams, whose HTTP/2 frames the tests make. */
import { strict as assert } from "node:assert";
import { MAX_SOCKET_BYTES, paceSocket, StreamPace } from "../../lib/grpc/pacing.ts";
import { FakeSession, FakeStream } from "../support/fake_http2.ts";
import { isSettled, turn } from "../support/settled.ts";

const DATA = 0;
const HEADERS = 1;
const FRAME_HEADER_BYTES = 9;
const HALF = MAX_SOCKET_BYTES / 2;

/** Bytes of HTTP/2 frames (RFC 9113, 4.1). */
function frame(type: number, streamId: number, payloadBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payloadBytes << 8 | type);
  view.setUint32(5, streamId);
  return bytes;
}

/** A socket that takes everything at once, as the runtime's does, and sends when a test says so. */
class FakeSocket {
  writableLength = 0;
  destroyed = false;
  /** How many frames left together, each time. */
  readonly writes: number[] = [];
  #corks = 0;
  #corkedFrames = 0;
  #flushed: ((error?: Error) => void)[] = [];

  write(bytes: Uint8Array, callback: (error?: Error) => void): boolean {
    this.writableLength += bytes.length;
    this.#flushed.push(callback);
    this.#corkedFrames++;
    if (this.#corks === 0) this.#send();
    return true;
  }

  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    if (--this.#corks === 0) this.#send();
  }

  /** The reader takes so many bytes, or the connection fails. */
  flush(bytes = this.writableLength, error?: Error): void {
    this.writableLength -= bytes;
    const isWhole = this.writableLength === 0;
    for (const flushed of this.#flushed) flushed(error);
    if (isWhole) this.#flushed = [];
  }

  #send(): void {
    this.writes.push(this.#corkedFrames);
    this.#corkedFrames = 0;
  }
}

/** A connection with a paced socket. */
function connect() {
  const socket = new FakeSocket();
  paceSocket(socket);
  const session = new FakeSession(socket);
  let nextId = 1;
  return {
    socket,
    session,
    open() {
      const stream = new FakeStream(session, nextId);
      nextId += 2;
      return { id: stream.id, stream, pace: new StreamPace(stream as never) };
    },
    /** The runtime's HTTP/2 library writes a frame. */
    sendFrame(type: number, streamId: number, payloadBytes: number) {
      const bytes = frame(type, streamId, payloadBytes);
      socket.write(bytes, undefined as never);
      return bytes;
    },
  };
}

const never = () => new AbortController().signal;

Deno.test("StreamPace: a written message has no room behind it until it has gone to the socket", async () => {
  const { open, sendFrame } = connect();
  const { id, stream, pace } = open();
  assert(pace.hasRoom);
  assert(await isSettled(pace.ready(never())));
  stream.write(new Uint8Array(1000));
  assert(!pace.hasRoom);
  const ready = pace.ready(never());
  sendFrame(DATA, id, 999);
  assert(!pace.hasRoom, "one byte is still in the stream's buffer");
  assert(!await isSettled(ready));
  sendFrame(DATA, id, 1);
  assert(pace.hasRoom);
  assert(await isSettled(ready));
});

Deno.test("StreamPace: written bytes still reach the stream, and frames still reach the socket", () => {
  const { socket, open, sendFrame } = connect();
  const { id, stream } = open();
  assert.equal(stream.write(Uint8Array.of(1, 2)), true);
  assert.deepEqual(stream.written, [Uint8Array.of(1, 2)]);
  sendFrame(DATA, id, 2);
  assert.equal(socket.writableLength, FRAME_HEADER_BYTES + 2);
});

Deno.test("StreamPace: only DATA frames of its own stream count", () => {
  const { open, sendFrame } = connect();
  const { id, stream, pace } = open();
  stream.write(new Uint8Array(100));
  sendFrame(HEADERS, id, 100);
  sendFrame(DATA, id + 2, 100);
  sendFrame(DATA, 0, 100);
  assert(!pace.hasRoom);
  sendFrame(DATA, id, 100);
  assert(pace.hasRoom);
});

Deno.test("StreamPace: frames are counted wherever the writes of the socket cut them", () => {
  const { socket, open } = connect();
  const { id, stream, pace } = open();
  stream.write(new Uint8Array(50));
  const bytes = new Uint8Array([...frame(HEADERS, id, 7), ...frame(DATA, id, 50)]);
  for (const byte of bytes.subarray(0, 20)) {
    assert(!pace.hasRoom);
    socket.write(Uint8Array.of(byte), undefined as never);
  }
  socket.write(bytes.subarray(20), undefined as never);
  assert(pace.hasRoom);
});

Deno.test("StreamPace: pauses at the socket's bound, and not before", () => {
  const { socket, open, sendFrame } = connect();
  const { id, stream, pace } = open();
  const message = 16 * 1024;
  let written = 0;
  while (pace.hasRoom) {
    assert(written <= MAX_SOCKET_BYTES, "it never pauses");
    stream.write(new Uint8Array(message));
    sendFrame(DATA, id, message);
    written += message;
  }
  assert(socket.writableLength >= MAX_SOCKET_BYTES);
  assert(socket.writableLength < MAX_SOCKET_BYTES + message + FRAME_HEADER_BYTES);
});

Deno.test("StreamPace: resumes when half of the bound is left in the socket, and not before", async () => {
  const { socket, open, sendFrame } = connect();
  const { id, stream, pace } = open();
  stream.write(new Uint8Array(MAX_SOCKET_BYTES));
  sendFrame(DATA, id, MAX_SOCKET_BYTES);
  const ready = pace.ready(never());
  assert(!await isSettled(ready));
  socket.flush(socket.writableLength - HALF - 1);
  assert(!await isSettled(ready), "one byte above the half is left");
  socket.flush(1);
  assert(await isSettled(ready), "half is left");
});

Deno.test("StreamPace: ready returns for an aborted signal, before and while it waits", async () => {
  const { open } = connect();
  const { stream, pace } = open();
  stream.write(new Uint8Array(10));
  assert(await isSettled(pace.ready(AbortSignal.abort())));
  const control = new AbortController();
  const ready = pace.ready(control.signal);
  assert(!await isSettled(ready));
  control.abort();
  assert(await isSettled(ready));
  assert(!pace.hasRoom);
});

Deno.test("StreamPace: streams of a connection have buffers of their own, and one socket", async () => {
  const { socket, open, sendFrame } = connect();
  const one = open();
  const other = open();
  one.stream.write(new Uint8Array(1000));
  assert(!one.pace.hasRoom);
  assert(other.pace.hasRoom, "a closed window of one stream holds up the other");
  other.stream.write(new Uint8Array(MAX_SOCKET_BYTES));
  sendFrame(DATA, other.id, MAX_SOCKET_BYTES);
  sendFrame(DATA, one.id, 1000);
  assert(!one.pace.hasRoom && !other.pace.hasRoom, "the socket is full for both");
  const waits = [one.pace.ready(never()), other.pace.ready(never())];
  socket.flush();
  for (const wait of waits) assert(await isSettled(wait));
});

Deno.test("StreamPace: a stuck stream does not resume when others do", async () => {
  const { socket, open, sendFrame } = connect();
  const stuck = open();
  const other = open();
  stuck.stream.write(new Uint8Array(10));
  const ready = stuck.pace.ready(never());
  sendFrame(DATA, other.id, 10);
  socket.flush();
  assert(!await isSettled(ready));
});

Deno.test("StreamPace: without a connection everything has room, since nothing is sent", async () => {
  const { session } = connect();
  session.destroy();
  for (const gone of [session, undefined, new FakeSession({ destroyed: true })]) {
    const stream = new FakeStream(gone);
    using pace = new StreamPace(stream as never);
    stream.write(new Uint8Array(10 * MAX_SOCKET_BYTES));
    assert(pace.hasRoom);
    assert(await isSettled(pace.ready(never())));
  }
});

Deno.test("StreamPace: a disconnect while a stream waits does not throw, and the signal ends it", async () => {
  const { session, socket, open } = connect();
  const { stream, pace } = open();
  stream.write(new Uint8Array(10));
  const control = new AbortController();
  const ready = pace.ready(control.signal);
  socket.destroyed = true;
  session.destroy();
  socket.flush();
  assert(!await isSettled(ready));
  control.abort();
  assert(await isSettled(ready));
});

Deno.test("StreamPace: after its end, frames with the stream's number are not counted", () => {
  const { open, sendFrame } = connect();
  const { id, stream, pace } = open();
  stream.write(new Uint8Array(10));
  pace[Symbol.dispose]();
  sendFrame(DATA, id, 10);
  assert(!pace.hasRoom, "it is still followed");
});

Deno.test("paceSocket: frames that are made at once are written together, and none waits for later ones", async () => {
  const { socket, open, sendFrame } = connect();
  const { id } = open();
  for (let count = 0; count < 3; count++) sendFrame(DATA, id, 1000);
  assert.deepEqual(socket.writes, []);
  await turn();
  assert.deepEqual(socket.writes, [3]);
  sendFrame(DATA, id, 1000);
  await turn();
  assert.deepEqual(socket.writes, [3, 1]);
});

Deno.test("paceSocket: frames that wait to be written together count against the socket's bound", () => {
  const { socket, open, sendFrame } = connect();
  const { id, stream, pace } = open();
  stream.write(new Uint8Array(MAX_SOCKET_BYTES));
  sendFrame(DATA, id, MAX_SOCKET_BYTES);
  assert.deepEqual(socket.writes, []);
  assert(!pace.hasRoom);
});

Deno.test("paceSocket: the memory of a frame is freed when it is sent, and not before", () => {
  const { socket, open, sendFrame } = connect();
  const { id } = open();
  const sent = sendFrame(DATA, id, 16 * 1024);
  assert(!sent.buffer.detached);
  socket.flush();
  assert(sent.buffer.detached);
});

Deno.test("paceSocket: memory that others may use is not freed, nor that of a frame that failed", () => {
  const { socket, open, sendFrame } = connect();
  const { id } = open();
  const failed = sendFrame(DATA, id, 16 * 1024);
  socket.flush(undefined, new Error("the connection is reset"));
  assert(!failed.buffer.detached);
  const slab = new Uint8Array(64 * 1024);
  slab.set(frame(DATA, id, 16 * 1024), 100);
  socket.write(slab.subarray(100, 100 + FRAME_HEADER_BYTES + 16 * 1024), undefined as never);
  socket.flush();
  assert(!slab.buffer.detached);
});

/** A socket that keeps what the runtime asks it to write at once. */
class GatheringSocket {
  readonly writableLength = 0;
  readonly parts: number[][] = [];
  #done: ((error?: Error | null) => void) | undefined;

  write(): boolean {
    return true;
  }

  cork(): void {}

  uncork(): void {}

  _writev(
    frames: readonly { readonly chunk: Uint8Array }[],
    done: (error?: Error | null) => void,
  ): void {
    this.parts.push(frames.map(({ chunk }) => chunk.length));
    this.#done = done;
  }

  /** Ends the writing of the last part. */
  end(error?: Error): void {
    this.#done?.(error);
  }
}

/** Has frames of so many KiB written at once. */
function gather(...kibibytes: number[]) {
  const socket = new GatheringSocket();
  paceSocket(socket);
  const results: (Error | null | undefined)[] = [];
  const frames = kibibytes.map((size) => ({ chunk: new Uint8Array(size * 1024) }));
  socket._writev(frames, (error) => results.push(error));
  const parts = () => socket.parts.map((part) => part.map((bytes) => bytes / 1024));
  return { socket, results, parts };
}

Deno.test("paceSocket: what many streams have written is encrypted in parts, one after the other, in order", () => {
  const { socket, results, parts } = gather(100, 28, 1, 200, 64, 64, 3);
  assert.deepEqual(parts(), [[100, 28]]);
  for (let part = 0; part < 4; part++) {
    assert.deepEqual(results, []);
    socket.end();
  }
  assert.deepEqual(parts(), [[100, 28], [1], [200], [64, 64], [3]]);
  socket.end();
  assert.deepEqual(results, [undefined]);
});

Deno.test("paceSocket: behind a part that cannot be written nothing is", () => {
  const { socket, results, parts } = gather(128, 128, 128);
  socket.end();
  const broken = new Error("the connection is gone");
  socket.end(broken);
  assert.deepEqual(parts(), [[128], [128]]);
  assert.deepEqual(results, [broken]);
});
