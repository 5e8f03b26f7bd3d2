/** The frames of an HTTP/2 connection, seen as they go to the socket (RFC 9113, 4.1). Pure. */

const FRAME_HEADER_BYTES = 9;
const DATA_FRAME = 0;

/** The first bit of a stream's number is reserved. */
const STREAM_ID_MASK = 0x7fff_ffff;

/** Follows the bytes of a connection, and says how much of which stream's data is among them. */
export class FrameReader {
  readonly #onData: (streamId: number, payloadBytes: number) => void;
  readonly #header = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  #headerBytes = 0;
  #payloadLeftBytes = 0;

  /**
   * @param onData Called when a DATA frame begins: its stream, and the length of its payload.
   */
  constructor(onData: (streamId: number, payloadBytes: number) => void) {
    this.#onData = onData;
  }

  /** Takes the next bytes; the first ones ever must be the beginning of a frame. */
  take(bytes: Uint8Array): void {
    let position = 0;
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
    this.#payloadLeftBytes = this.#header.getUint32(0) >>> 8;
    if (this.#header.getUint8(3) !== DATA_FRAME) return;
    this.#onData(this.#header.getUint32(5) & STREAM_ID_MASK, this.#payloadLeftBytes);
  }
}
