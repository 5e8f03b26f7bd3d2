/**
 * Buffers for chunks, used again and again: to make one takes longer than to read what goes into it,
 * and the garbage collector would free it late.
 */
import { HEADROOM_BYTES } from "./headroom.ts";

/** The most that is read, and given to a reader, at once. */
export const CHUNK_BYTES = 64 * 1024;

/** A smaller chunk has a buffer of its own size: many readers that are behind nothing hold little. */
const MIN_POOLED_BYTES = CHUNK_BYTES / 4;

/** So many wait to be used again: 1 MiB. */
const MAX_FREE = 16;

const free: ArrayBuffer[] = [];

/** Bytes for a chunk, with headroom before them; what is in them is left from another use. */
export function takeChunk(length: number): Uint8Array<ArrayBuffer> {
  const buffer = length < MIN_POOLED_BYTES
    ? new ArrayBuffer(HEADROOM_BYTES + length)
    : free.pop() ?? new ArrayBuffer(HEADROOM_BYTES + CHUNK_BYTES);
  return new Uint8Array(buffer, HEADROOM_BYTES, length);
}

/** Takes back the buffer of a chunk; nobody may use it any more. */
export function giveBackChunk({ buffer }: Uint8Array<ArrayBuffer>): void {
  if (buffer.byteLength === HEADROOM_BYTES + CHUNK_BYTES && free.length < MAX_FREE) {
    free.push(buffer);
  } else {
    // The garbage collector would free it much later.
    buffer.transfer(0);
  }
}
