/**
 * The little of HTTP/2 that one request with a long answer needs (RFC 9113, and RFC 7541 for the
 * request's headers). Header blocks of the answer are not read. Pure.
 */

/** Types of frames, RFC 9113, section 6. */
const FrameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
} as const;

const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES = 9;

/** The longest payload that a peer may send to us: the protocol's default, which we keep. */
const MAX_PAYLOAD_BYTES = 16 * 1024;

/** The only stream of the connection. */
const STREAM_ID = 1;

/** The first bit of a stream's number is reserved. */
const STREAM_ID_MASK = 0x7fff_ffff;

/** What the protocol gives a connection to begin with. */
const DEFAULT_WINDOW_BYTES = 65_535;

/** So much may be on its way before we say that we took some. */
export const WINDOW_BYTES = 8 * 1024 * 1024;

/** What is read at once, and what is left of a frame from before. */
const BUFFER_BYTES = 256 * 1024;

/** The peer does not keep to the protocol. */
export class FrameError extends Error {
  override name = "FrameError";
}

/**
 * All that has to be sent for the request.
 *
 * @param request The method's path, the server's name, and the one message with its gRPC prefix.
 */
export function requestFrames(
  { path, authority, message }: { path: string; authority: string; message: Uint8Array },
): Uint8Array {
  const headers = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", authority],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ] as const;
  return concatenate([
    new TextEncoder().encode(PREFACE),
    frame(FrameType.settings, { payload: settings() }),
    frame(FrameType.windowUpdate, { payload: uint32(WINDOW_BYTES - DEFAULT_WINDOW_BYTES) }),
    frame(FrameType.headers, {
      flags: END_HEADERS,
      streamId: STREAM_ID,
      payload: concatenate(headers.map(([name, value]) => literalHeader(name, value))),
    }),
    frame(FrameType.data, { flags: END_STREAM, streamId: STREAM_ID, payload: message }),
  ]);
}

/** Says that so many bytes were taken, for the stream and for the connection. */
export function windowUpdates(bytes: number): Uint8Array {
  const payload = uint32(bytes);
  return concatenate([
    frame(FrameType.windowUpdate, { payload }),
    frame(FrameType.windowUpdate, { payload, streamId: STREAM_ID }),
  ]);
}

/** What the reader of a connection is told. */
export interface AnswerListener {
  /** The stream's next bytes; they are only lent. */
  onData(bytes: Uint8Array): void;
  /** Something has to be sent back. */
  onReply(frames: Uint8Array): void;
  /** The stream is over, well or not. */
  onEnd(): void;
}

/** Takes a connection's bytes apart. */
export class AnswerReader {
  readonly #listener: AnswerListener;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #begin = 0;
  #end = 0;

  constructor(listener: AnswerListener) {
    this.#listener = listener;
  }

  /** Where the next bytes are to be read into. */
  get room(): Uint8Array {
    return this.#buffer.subarray(this.#end);
  }

  /**
   * Says that so many bytes were read into the room.
   *
   * @throws {FrameError} A frame is longer than allowed, or its padding longer than the frame.
   */
  take(length: number): void {
    this.#end += length;
    for (;;) {
      const available = this.#end - this.#begin;
      if (available < FRAME_HEADER_BYTES) break;
      const header = new DataView(this.#buffer.buffer, this.#begin, FRAME_HEADER_BYTES);
      const payloadBytes = header.getUint32(0) >>> 8;
      if (payloadBytes > MAX_PAYLOAD_BYTES) {
        throw new FrameError(`a frame of ${payloadBytes} bytes is longer than allowed`);
      }
      if (available < FRAME_HEADER_BYTES + payloadBytes) break;
      const payloadBegin = this.#begin + FRAME_HEADER_BYTES;
      this.#begin = payloadBegin + payloadBytes;
      this.#takeFrame(header, this.#buffer.subarray(payloadBegin, this.#begin));
    }
    if (this.#begin === this.#end) {
      this.#begin = this.#end = 0;
    } else if (this.#buffer.length - this.#end < FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES) {
      this.#buffer.copyWithin(0, this.#begin, this.#end);
      this.#end -= this.#begin;
      this.#begin = 0;
    }
  }

  #takeFrame(header: DataView, payload: Uint8Array): void {
    const type = header.getUint8(3);
    const flags = header.getUint8(4);
    const isOurStream = (header.getUint32(5) & STREAM_ID_MASK) === STREAM_ID;
    if (type === FrameType.settings && (flags & ACK) === 0) {
      this.#listener.onReply(frame(FrameType.settings, { flags: ACK }));
    } else if (type === FrameType.ping && (flags & ACK) === 0) {
      this.#listener.onReply(frame(FrameType.ping, { flags: ACK, payload }));
    } else if (isOurStream) {
      if (type === FrameType.data) {
        this.#listener.onData((flags & PADDED) === 0 ? payload : withoutPadding(payload));
      }
      const isLast = (type === FrameType.data || type === FrameType.headers) &&
        (flags & END_STREAM) !== 0;
      if (isLast || type === FrameType.resetStream) this.#listener.onEnd();
    }
  }
}

function withoutPadding(payload: Uint8Array): Uint8Array {
  const paddingBytes = payload[0] ?? 0;
  if (paddingBytes >= payload.length) {
    throw new FrameError("the padding of a frame is longer than the frame");
  }
  return payload.subarray(1, payload.length - paddingBytes);
}

/** No pushes; no table of headers, since we read none; and a window for much at once. */
function settings(): Uint8Array {
  const HEADER_TABLE_SIZE = 1, ENABLE_PUSH = 2, INITIAL_WINDOW_SIZE = 4;
  return concatenate(
    ([[HEADER_TABLE_SIZE, 0], [ENABLE_PUSH, 0], [INITIAL_WINDOW_SIZE, WINDOW_BYTES]] as const)
      .map(([name, value]) => concatenate([Uint8Array.of(0, name), uint32(value)])),
  );
}

interface FrameParts {
  flags?: number;
  streamId?: number;
  payload?: Uint8Array;
}

function frame(type: number, { flags = 0, streamId = 0, payload }: FrameParts): Uint8Array {
  const length = payload?.length ?? 0;
  const whole = new Uint8Array(FRAME_HEADER_BYTES + length);
  const header = new DataView(whole.buffer);
  header.setUint32(0, length << 8);
  header.setUint8(3, type);
  header.setUint8(4, flags);
  header.setUint32(5, streamId);
  if (payload !== undefined) whole.set(payload, FRAME_HEADER_BYTES);
  return whole;
}

/** A header that no table is asked for, RFC 7541, section 6.2.2. Both texts are ASCII. */
function literalHeader(name: string, value: string): Uint8Array {
  return concatenate([Uint8Array.of(0), literalText(name), literalText(value)]);
}

/** RFC 7541, section 5.2; its length is an integer with a prefix of 7 bits (section 5.1). */
function literalText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < 127) {
    length.push(rest);
  } else {
    length.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) length.push(rest % 128 + 128);
    length.push(rest);
  }
  return concatenate([Uint8Array.from(length), bytes]);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}
