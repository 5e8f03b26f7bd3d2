/**
 * Backpressure for streams. The runtime accepts every write at once and buffers it, so a slow reader
 * would cost the server its memory: here a connection's bytes are counted as they leave the socket,
 * and no more than a bound is handed over before that.
 */
import type { Http2Session } from "node:http2";
import { socketOf } from "./grpc_internals.ts";

/** The most that is handed over and not yet on the wire, for each connection. */
export const MAX_PENDING_BYTES = 256 * 1024;

/** Writing goes on when so much is left. */
const RESUME_PENDING_BYTES = MAX_PENDING_BYTES / 2;

/** How often a full connection is looked at: it has no event that says that bytes have left. */
const LOOK_INTERVAL_MS = 1;

/** A connection that has not moved for a while is looked at less often. */
const MAX_LOOK_INTERVAL_MS = 20;

/** HTTP/2 sends at most so much in one frame, each with a header (RFC 9113, 4.1 and 4.2). */
const FRAME_BYTES = 16_384;
const FRAME_HEADER_BYTES = 9;

/** The header of a gRPC message. */
const MESSAGE_HEADER_BYTES = 5;

/** What one connection has been given and has sent. */
class ConnectionPace {
  readonly #session: Http2Session;
  #handedBytes = 0;
  #sentBytesAtZero: number;

  constructor(session: Http2Session) {
    this.#session = session;
    this.#sentBytesAtZero = socketOf(session)?.bytesWritten ?? 0;
  }

  /** Bytes handed over that have not left; 0 when the connection is gone. */
  get pendingBytes(): number {
    const socket = socketOf(this.#session);
    if (socket === undefined) return 0;
    const pending = this.#handedBytes - (socket.bytesWritten - this.#sentBytesAtZero);
    if (pending > 0) return pending;
    // All is sent. Other frames of the connection were counted too: begin anew.
    this.#handedBytes = 0;
    this.#sentBytesAtZero = socket.bytesWritten;
    return 0;
  }

  add(payloadBytes: number): void {
    const messageBytes = payloadBytes + MESSAGE_HEADER_BYTES;
    const frames = Math.ceil(messageBytes / FRAME_BYTES);
    this.#handedBytes += messageBytes + frames * FRAME_HEADER_BYTES;
  }
}

const paces = new WeakMap<Http2Session, ConnectionPace>();

/** The pace of one stream; streams of one connection share what is pending. */
export class StreamPace {
  readonly #connection: ConnectionPace | undefined;

  /** @param session The stream's connection; undefined when it is gone already. */
  constructor(session: Http2Session | undefined) {
    if (session === undefined) return;
    this.#connection = paces.get(session) ?? new ConnectionPace(session);
    paces.set(session, this.#connection);
  }

  /** Counts a message that was written. */
  wrote(payloadBytes: number): void {
    this.#connection?.add(payloadBytes);
  }

  /** Waits until there is room for another message, or the signal is aborted. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#connection === undefined || this.#connection.pendingBytes < MAX_PENDING_BYTES) return;
    let interval = LOOK_INTERVAL_MS;
    let pending = this.#connection.pendingBytes;
    while (!signal.aborted && pending > RESUME_PENDING_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, interval));
      const left = this.#connection.pendingBytes;
      interval = left < pending ? LOOK_INTERVAL_MS : Math.min(interval * 2, MAX_LOOK_INTERVAL_MS);
      pending = left;
    }
  }
}
