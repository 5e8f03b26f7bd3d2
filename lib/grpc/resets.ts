/**
 * Closes connections that send too many frames of a kind that costs the server much more than them.
 * Those that reset too many streams are closed before the runtime's HTTP/2 library (nghttp2) does it: when its own bound (1,000 at once, 33 a second) is exceeded in the middle of a piece of
 * input, it corrupts the memory of the process, and the server ends with "corrupted double-linked
 * list". Every client with a valid certificate could cause that.
 */
import type { TLSSocket } from "node:tls";
import { messageOf } from "../errors.ts";
import { CLIENT_PREFACE, FrameFlag, FrameReader, FrameType } from "../../common/http2_frames.ts";
import { log } from "../log.ts";
import { TokenBucket } from "../access/token_bucket.ts";

/** Resets that a connection may make at once; below the library's bound. */
const RESET_BURST = 800;

/** Resets that it may make in a second, on average. */
const RESETS_PER_SECOND = 30;

/** Data that is sent in pieces below this size costs more to take than to send. */
const SMALL_BYTES = 64;

/** Such pieces that a connection may send at once, and in a second: more than there may be calls. */
const SMALL_PIECES = 10_000;

/** Counts the resets, and the small pieces of data, in the bytes that a client sends. Pure. */
export class ResetCounter {
  readonly #resets: TokenBucket;
  readonly #pieces: TokenBucket;
  #isTooMany = false;
  readonly #frames = new FrameReader({
    onHeader: ({ type, flags, payloadBytes }) => {
      if (type === FrameType.resetStream && !this.#resets.take()) this.#isTooMany = true;
      // The last piece of a request may be small, or empty.
      const isPiece = type === FrameType.data && (flags & FrameFlag.endStream) === 0;
      if (isPiece && payloadBytes < SMALL_BYTES && !this.#pieces.take()) this.#isTooMany = true;
    },
  }, { skipBytes: CLIENT_PREFACE.length });

  /** @param nowMs A clock that never goes back. */
  constructor(nowMs: number) {
    const bounds = { capacity: RESET_BURST, perSecond: RESETS_PER_SECOND };
    this.#resets = new TokenBucket(bounds, nowMs);
    this.#pieces = new TokenBucket({ capacity: SMALL_PIECES, perSecond: SMALL_PIECES }, nowMs);
  }

  /** Takes the next bytes; returns whether there have been too many of either. */
  isTooMany(bytes: Uint8Array, nowMs: number): boolean {
    this.#resets.earn(nowMs);
    this.#pieces.earn(nowMs);
    this.#frames.take(bytes);
    return this.#isTooMany;
  }
}

/**
 * Reads all bytes of a connection before the HTTP/2 library does, which listens to the socket by
 * then.
 *
 * @param onStorm Called when the connection is closed for them.
 */
export function guardResets(socket: TLSSocket, onStorm: () => void): void {
  const resets = new ResetCounter(performance.now());
  const deliveries = socket.listeners("data") as ((bytes: Uint8Array) => void)[];
  if (deliveries.length !== 1) {
    throw new Error("the runtime has changed: HTTP/2 does not read its socket by one listener");
  }
  const [deliver = () => {}] = deliveries;
  socket.on("data", (bytes: Uint8Array) => {
    if (socket.destroyed) return;
    if (!resets.isTooMany(bytes, performance.now())) return deliverTo(socket, bytes, deliver);
    onStorm();
    socket.destroy();
  });
  socket.removeListener("data", deliver);
}

/**
 * The library throws on input that it does not expect: then the connection ends, not the server.
 */
function deliverTo(socket: TLSSocket, bytes: Uint8Array, deliver: (bytes: Uint8Array) => void) {
  try {
    deliver(bytes);
  } catch (error) {
    log.warn("a connection failed and is closed", { error: messageOf(error) });
    socket.destroy();
  }
}
