/** The frames of an HTTP/2 connection in one direction (RFC 9113, section 4). Pure. */

/** Bytes of a frame's header: length (3), type (1), flags (1) and stream identifier (4). */
export const FRAME_HEADER_BYTES = 9;

/** Types of frames (RFC 9113, section 6). */
export const FrameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
} as const;

/** Flags of frames (RFC 9113, section 6); their meaning depends on the type. */
export const FrameFlag = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
} as const;

/** What a client sends before its first frame (RFC 9113, section 3.4); ASCII. */
export const CLIENT_PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** The first bit of a stream identifier is reserved. */
const STREAM_ID_MASK = 0x7fff_ffff;

/** The fields of a frame's header. */
export interface FrameHeader {
  /** One of {@linkcode FrameType}, or a type that is ignored. */
  readonly type: number;
  readonly flags: number;
  /** 0: the frame concerns the whole connection. */
  readonly streamId: number;
  readonly payloadBytes: number;
}

/**
 * Is told of frames. A header that it is given holds until it returns. What it throws is thrown on by
 * the reader, which must not be used after that.
 */
export interface FrameListener {
  /** A header is complete. */
  onHeader(header: FrameHeader): void;
  /** The next bytes of the payload, at least one; they are lent until it returns. */
  onPayload?(bytes: Uint8Array, header: FrameHeader): void;
  /** The payload is complete; a frame without one ends right after its header. */
  onEnd?(header: FrameHeader): void;
}

/** Splits the bytes of one direction of a connection into frames; copies nothing but headers. */
export class FrameReader implements FrameHeader {
  readonly #listener: FrameListener;
  readonly #header = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  /** How much of the header is known; all of it while the payload is read. */
  #headerBytes = 0;
  #payloadLeftBytes = 0;
  #skipBytes: number;

  /** @param skipBytes How many bytes come before the first frame: {@linkcode CLIENT_PREFACE}. */
  constructor(listener: FrameListener, { skipBytes = 0 } = {}) {
    this.#listener = listener;
    this.#skipBytes = skipBytes;
  }

  get type(): number {
    return this.#header.getUint8(3);
  }

  get flags(): number {
    return this.#header.getUint8(4);
  }

  get streamId(): number {
    return this.#header.getUint32(5) & STREAM_ID_MASK;
  }

  get payloadBytes(): number {
    return this.#header.getUint32(0) >>> 8;
  }

  /** Takes the connection's next bytes, cut anywhere. */
  take(bytes: Uint8Array): void {
    let position = Math.min(this.#skipBytes, bytes.length);
    this.#skipBytes -= position;
    while (position < bytes.length) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        this.#header.setUint8(this.#headerBytes++, bytes[position++] ?? 0);
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#beginFrame();
      } else {
        const length = Math.min(this.#payloadLeftBytes, bytes.length - position);
        this.#payloadLeftBytes -= length;
        this.#listener.onPayload?.(bytes.subarray(position, position + length), this);
        position += length;
        if (this.#payloadLeftBytes === 0) this.#endFrame();
      }
    }
  }

  #beginFrame(): void {
    this.#payloadLeftBytes = this.payloadBytes;
    this.#listener.onHeader(this);
    if (this.#payloadLeftBytes === 0) this.#endFrame();
  }

  #endFrame(): void {
    this.#listener.onEnd?.(this);
    this.#headerBytes = 0;
  }
}
