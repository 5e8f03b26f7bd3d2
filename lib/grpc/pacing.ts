/**
 * Backpressure for streams. The runtime accepts every write at once and buffers it, in two places: a
 * stream's own buffer, while the reader's HTTP/2 window is closed, and the socket's, while the reader
 * does not take what was sent. Both are bounded here. What lies in the first is what was written to
 * the stream less the DATA frames of the stream that have gone to the socket; it is counted exactly,
 * since an error of a few bytes in each message would be megabytes in a long stream.
 */
import { FRAME, FrameReader } from "./frames.ts";
import { socketOf } from "./internals.ts";

/** The most that waits in a socket before its streams pause. */
export const MAX_SOCKET_BYTES = 256 * 1024;

/** Streams go on when so much is left in their socket. */
const RESUME_SOCKET_BYTES = MAX_SOCKET_BYTES / 2;

/** What is used of a TLS socket. */
export interface PacedSocket {
  /** Bytes that have not left the process. */
  readonly writableLength: number;
  write(bytes: Uint8Array, callback: () => void): boolean;
}

/** What is used of an HTTP/2 stream. */
export interface PacedStream {
  readonly id?: number | undefined;
  readonly session?: Parameters<typeof socketOf>[0];
  // deno-lint-ignore no-explicit-any -- the overloads of Writable.write do not matter here
  write(bytes: Uint8Array, ...rest: any[]): boolean;
}

/** Where a socket's connection is found by its streams: they see their socket through a proxy. */
const CONNECTION = Symbol("paced connection");

/** Counts what goes through a socket; called once for each connection, before its first stream. */
export function paceSocket(socket: PacedSocket): void {
  (socket as PacedSocket & { [CONNECTION]?: PacedConnection })[CONNECTION] = new PacedConnection(
    socket,
  );
}

/** One connection: its streams share the socket's buffer, and have buffers of their own. */
class PacedConnection {
  readonly streams = new Map<number, StreamPace>();
  readonly #socket: PacedSocket;

  constructor(socket: PacedSocket) {
    this.#socket = socket;
    const frames = new FrameReader(({ type, streamId, payloadBytes }) => {
      if (type === FRAME.data) this.streams.get(streamId)?.sent(payloadBytes);
    });
    const write = socket.write.bind(socket);
    const flushed = () => this.#flushed();
    // All that HTTP/2 sends comes through here, a frame at a time and without a callback of its own.
    socket.write = (bytes) => {
      const hasRoom = write(bytes, flushed);
      frames.take(bytes);
      return hasRoom;
    };
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  #flushed(): void {
    if (this.pendingBytes > RESUME_SOCKET_BYTES) return;
    for (const stream of this.streams.values()) stream.resume();
  }
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
    if (this.#connection === undefined) return; // The connection is gone, and the call with it.
    this.#connection.streams.set(this.#id, this);
    const write = stream.write.bind(stream);
    stream.write = (bytes, ...rest) => {
      this.#pendingBytes += bytes.length;
      return write(bytes, ...rest);
    };
  }

  /**
   * Whether another message may be written: the last one has gone to the socket, and the socket has
   * room. So a reader's closed window costs what is left of one message. More than that would be
   * lost for good with each connection that dies so, since the runtime never frees it.
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

  /** Says that a DATA frame of this stream has gone to the socket. */
  sent(payloadBytes: number): void {
    this.#pendingBytes -= payloadBytes;
    this.resume();
  }

  /** Lets the stream go on, where there is room. */
  resume(): void {
    if (this.hasRoom) this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.#connection?.streams.delete(this.#id);
  }
}
