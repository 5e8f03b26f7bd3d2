/**
 * Backpressure for streams. The runtime accepts every write at once and buffers it, in two places:
 * the buffer of the stream, while the reader's HTTP/2 window is closed, and the buffer of the
 * socket, while the reader does not read. Both are bounded here. The stream's buffer holds what was
 * written to the stream less its DATA frames that have gone to the socket. It is counted exactly,
 * since an error of a few bytes a message would be megabytes in a long stream.
 *
 * The runtime also writes each frame of 16 KiB by itself, and leaves its memory to the garbage collector.
 * Frames that are made at once are written together here, and freed when they are sent.
 */
import { FrameReader, FrameType } from "../../common/http2_frames.ts";
import process from "node:process";
import { socketOf } from "./internals.ts";

/** Bytes that wait in a socket before its streams pause. */
export const MAX_SOCKET_BYTES = 256 * 1024;

/** Streams continue when no more than this waits in their socket. */
const RESUME_SOCKET_BYTES = MAX_SOCKET_BYTES / 2;

/**
 * What is encrypted at once. The runtime encrypts some 48 KiB after the other and moves all that is left each time:
 * a megabyte, which many followers on one connection make in one turn, was moved twenty times.
 */
const MAX_PART_BYTES = 128 * 1024;

/** Smaller frames are left to the garbage collector: to free one takes some time, too. */
const MIN_FREED_BYTES = 4 * 1024;

/** A frame that waits to be written with others. */
interface GatheredFrame {
  readonly chunk: Uint8Array;
}

/** What is used of a TLS socket. */
export interface PacedSocket {
  /** Bytes that have not left the process. */
  readonly writableLength: number;
  write(bytes: Uint8Array, callback: (error?: Error | null) => void): boolean;
  /** Writes what was kept; called by the runtime. */
  _writev?(frames: readonly GatheredFrame[], done: (error?: Error | null) => void): void;
  /** Keeps what is written until {@linkcode uncork}. */
  cork(): void;
  uncork(): void;
}

/** What is used of an HTTP/2 stream. */
export interface PacedStream {
  readonly id?: number | undefined;
  readonly session?: Parameters<typeof socketOf>[0];
  // deno-lint-ignore no-explicit-any -- the overloads of Writable.write do not matter here
  write(bytes: Uint8Array, ...rest: any[]): boolean;
}

/** A property of the socket, since streams see their socket through a proxy. */
const CONNECTION = Symbol("paced connection");

/**
 * Counts the bytes through a socket; to be called once for each connection, before its first
 * stream.
 */
export function paceSocket(socket: PacedSocket): void {
  (socket as PacedSocket & { [CONNECTION]?: PacedConnection })[CONNECTION] = new PacedConnection(
    socket,
  );
}

/** One connection: its streams share the socket's buffer, and have buffers of their own. */
class PacedConnection {
  readonly streams = new Map<number, StreamPace>();
  readonly #socket: PacedSocket;
  #isGathering = false;

  constructor(socket: PacedSocket) {
    this.#socket = socket;
    const frames = new FrameReader({
      onHeader: ({ type, streamId, payloadBytes }) => {
        if (type === FrameType.data) this.streams.get(streamId)?.sent(payloadBytes);
      },
    });
    writeInParts(socket);
    const write = socket.write.bind(socket);
    // The runtime writes HTTP/2 frames by this function, one by one and without a callback.
    socket.write = (bytes) => {
      this.#gather();
      const hasRoom = write(bytes, (error) => {
        if (!error) freeFrame(bytes);
        this.#flushed();
      });
      frames.take(bytes);
      return hasRoom;
    };
  }

  /** What is written until the running function ends goes to the socket as one. */
  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#isGathering = false;
      this.#socket.uncork();
    });
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  #flushed(): void {
    if (this.pendingBytes > RESUME_SOCKET_BYTES) return;
    for (const stream of this.streams.values()) stream.resume();
  }
}

/** Has what was gathered written by parts of {@linkcode MAX_PART_BYTES} at most, or of one frame. */
function writeInParts(socket: PacedSocket): void {
  const writev = socket._writev?.bind(socket);
  if (writev === undefined) return;
  socket._writev = (frames, done) => {
    let begin = 0;
    const goOn = (error?: Error | null) => {
      if (error || begin === frames.length) return done(error);
      const part = beginOf(frames.slice(begin), MAX_PART_BYTES);
      begin += part.length;
      writev(part, goOn);
    };
    goOn();
  };
}

/** The first frames, as many as so many bytes hold; at least one. */
function beginOf(frames: readonly GatheredFrame[], maxBytes: number): readonly GatheredFrame[] {
  let bytes = 0;
  const end = frames.findIndex(({ chunk }) => (bytes += chunk.length) > maxBytes);
  return end < 0 ? frames : frames.slice(0, Math.max(1, end));
}

/** Frees the memory of a frame that was sent, which nobody else has. */
function freeFrame({ buffer, length }: Uint8Array): void {
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === length;
  if (isWhole && length >= MIN_FREED_BYTES) buffer.transfer(0);
}

/** The pace of one stream. */
export class StreamPace implements Disposable {
  readonly #connection: PacedConnection | undefined;
  readonly #id: number;
  #pendingBytes = 0;
  #wake: (() => void) | undefined;

  /** @param stream The stream; nothing has been written to it yet. */
  constructor(stream: PacedStream) {
    const socket = socketOf(stream.session) as { [CONNECTION]?: PacedConnection } | undefined;
    this.#id = stream.id ?? 0;
    this.#connection = socket?.[CONNECTION];
    if (this.#connection === undefined) return; // The connection is gone.
    this.#connection.streams.set(this.#id, this);
    const write = stream.write.bind(stream);
    stream.write = (bytes, ...rest) => {
      this.#pendingBytes += bytes.length;
      return write(bytes, ...rest);
    };
  }

  /**
   * Whether another message may be written: the last one has gone to the socket, and the socket has
   * room. So a closed window holds at most the rest of one message in memory. The runtime never
   * frees that memory when the connection is lost, so it must be little.
   */
  get hasRoom(): boolean {
    return this.#connection === undefined ||
      this.#pendingBytes === 0 && this.#connection.pendingBytes < MAX_SOCKET_BYTES;
  }

  /** Waits until another message may be written, or the signal is aborted. */
  async ready(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.hasRoom) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = () => resolve();
      this.#wake = wake;
      signal.addEventListener("abort", wake);
      await promise;
      signal.removeEventListener("abort", wake);
    }
  }

  /** Tells that a DATA frame of this stream has gone to the socket. */
  sent(payloadBytes: number): void {
    this.#pendingBytes -= payloadBytes;
    this.resume();
  }

  /** Wakes the writer of the stream, where there is room. */
  resume(): void {
    if (this.hasRoom) this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.#connection?.streams.delete(this.#id);
  }
}
