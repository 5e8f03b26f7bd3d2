/** The frames of an HTTP/2 connection, seen as they come and go (RFC 9113, 4.1). Pure. */

const FRAME_HEADER_BYTES = 9;

/** Types of frames (RFC 9113, 6). */
export const FRAME = { data: 0, headers: 1, resetStream: 3 } as const;

/** The first bit of a stream's number is reserved. */
const STREAM_ID_MASK = 0x7fff_ffff;

/** What stands before a frame's payload. */
export interface FrameHead {
  readonly type: number;
  readonly streamId: number;
  readonly payloadBytes: number;
}

/** Follows the bytes of a connection in one direction, and tells of its frames. */
export class FrameReader {
  readonly #onFrame: (head: FrameHead) => void;
  #skipBytes: number;
  readonly #header = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  #headerBytes = 0;
  #payloadLeftBytes = 0;

  /**
   * @param onFrame Called when a frame begins. What it is given holds until it returns.
   * @param skipBytes So many bytes stand before the first frame.
   */
  constructor(onFrame: (head: FrameHead) => void, skipBytes = 0) {
    this.#onFrame = onFrame;
    this.#skipBytes = skipBytes;
  }

  get type(): number {
    return this.#header.getUint8(3);
  }

  get streamId(): number {
    return this.#header.getUint32(5) & STREAM_ID_MASK;
  }

  get payloadBytes(): number {
    return this.#header.getUint32(0) >>> 8;
  }

  /** Takes the next bytes. */
  take(bytes: Uint8Array): void {
    let position = Math.min(this.#skipBytes, bytes.length);
    this.#skipBytes -= position;
    while (position < bytes.length) {
      if (this.#payloadLeftBytes > 0) {
        const length = Math.min(this.#payloadLeftBytes, bytes.length - position);
        this.#payloadLeftBytes -= length;
        position += length;
      } else {
        this.#header.setUint8(this.#headerBytes++, bytes[position++] ?? 0);
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#beginFrame();
      }
    }
  }

  #beginFrame(): void {
    this.#headerBytes = 0;
    this.#payloadLeftBytes = this.payloadBytes;
    this.#onFrame(this);
  }
}
