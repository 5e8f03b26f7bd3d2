/**
 * Buffers for chunks, used again and again: to make one takes longer than to read what goes into it,
 * and the garbage collector would free it late.
 */
import { HEADROOM_BYTES } from "./headroom.ts";

/** The most that is read, and given to a reader, at once: each chunk costs as much as sending it does. */
export const LARGE_CHUNK_BYTES = 256 * 1024;

/** The same where there are {@linkcode MAX_LARGE} of those: readers that stall keep what was read for them. */
export const CHUNK_BYTES = 64 * 1024;

/** A smaller chunk has a buffer of its own size: many readers that are behind nothing hold little. */
const MIN_POOLED_BYTES = CHUNK_BYTES / 4;

/** So many wait to be used again: 1 MiB. */
const MAX_FREE = 16;

/** Large chunks of the whole server: 4 MiB. */
const MAX_LARGE = 16;

/** So many of them wait to be used again: 1 MiB. */
const MAX_FREE_LARGE = 4;

const free: ArrayBuffer[] = [];
const freeLarge: ArrayBuffer[] = [];

/** Large ones that there are. */
let largeCount = 0;

/** Not every chunk is given back: what waited for a reader who has gone is left to the garbage collector. */
const lost = new FinalizationRegistry<void>(() => largeCount--);

/**
 * Bytes for a chunk, with headroom before them; what is in them is left from another use.
 *
 * @param length At most {@linkcode LARGE_CHUNK_BYTES}; above {@linkcode CHUNK_BYTES} there may be as few as that.
 */
export function takeChunk(length: number): Uint8Array<ArrayBuffer> {
  if (length > CHUNK_BYTES) {
    const large = freeLarge.pop() ?? makeLarge();
    if (large !== undefined) return new Uint8Array(large, HEADROOM_BYTES, length);
  }
  const buffer = length < MIN_POOLED_BYTES
    ? new ArrayBuffer(HEADROOM_BYTES + length)
    : free.pop() ?? new ArrayBuffer(HEADROOM_BYTES + CHUNK_BYTES);
  return new Uint8Array(buffer, HEADROOM_BYTES, Math.min(length, CHUNK_BYTES));
}

function makeLarge(): ArrayBuffer | undefined {
  if (largeCount === MAX_LARGE) return undefined;
  const buffer = new ArrayBuffer(HEADROOM_BYTES + LARGE_CHUNK_BYTES);
  largeCount++;
  lost.register(buffer, undefined, buffer);
  return buffer;
}

/** Takes back the buffer of a chunk; nobody may use it any more. */
export function giveBackChunk({ buffer }: Uint8Array<ArrayBuffer>): void {
  const isLarge = buffer.byteLength === HEADROOM_BYTES + LARGE_CHUNK_BYTES;
  if (isLarge && freeLarge.length < MAX_FREE_LARGE) freeLarge.push(buffer);
  else if (buffer.byteLength === HEADROOM_BYTES + CHUNK_BYTES && free.length < MAX_FREE) {
    free.push(buffer);
  } else {
    if (isLarge && lost.unregister(buffer)) largeCount--;
    // The garbage collector would free it much later.
    buffer.transfer(0);
  }
}
