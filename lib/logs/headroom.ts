/** Room before the bytes of a chunk, in its buffer: a sender may write the head of a message there. */

/** How much of it there is. */
export const HEADROOM_BYTES = 64;

/** A copy of bytes, in a buffer with headroom. */
export function withHeadroom(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(HEADROOM_BYTES + bytes.length);
  buffer.set(bytes, HEADROOM_BYTES);
  return buffer.subarray(HEADROOM_BYTES);
}
