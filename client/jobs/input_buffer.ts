/** The part of a job's input that has been read here, and is not held by the server yet. Pure. */

import { concatenate } from "../../common/bytes.ts";

/** The longest piece that is sent at once; the server takes no more in one message. */
const MAX_PIECE_BYTES = 256 * 1024;

/** So much is read ahead; the server lets no more be under way. */
const MAX_BUFFERED_BYTES = 2 * 1024 ** 2;

/** A piece to be sent. */
export interface InputPiece {
  /** Where in the input it begins. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** Whether the input ends with it. */
  readonly end: boolean;
}

/** Keeps what was read until the server has it for good, so that a broken connection loses nothing. */
export class InputBuffer {
  #chunks: Uint8Array[] = [];
  /** Of the first chunk. */
  #begin = 0;
  #length = 0;
  #isEnded = false;
  /** What comes next. */
  #offset = 0;
  #isEndSent = false;
  /** Whether the job's input goes on behind this. */
  #isOpen = false;

  /** Whether more should be read. */
  get hasRoom(): boolean {
    return !this.#isEnded && this.#length < MAX_BUFFERED_BYTES;
  }

  /** Whether the server has all of the input. */
  get isHeld(): boolean {
    return this.#isEnded && this.#length === 0;
  }

  /** Where the next piece begins. */
  get offset(): number {
    return this.#offset;
  }

  /** Where the whole input begins in the job's: it goes on behind what others have sent. */
  startAt(offset: number): void {
    this.#begin += offset;
    this.#offset += offset;
  }

  /** Takes the next bytes of the input. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /**
   * Nothing more will come.
   *
   * @param options `isLast`: whether this is the end of the job's input, too.
   */
  end({ isLast = true } = {}): void {
    this.#isEnded = true;
    this.#isEndSent = this.#isOpen = !isLast;
  }

  /**
   * Goes on over another connection.
   *
   * @param heldBytes What the server has.
   * @returns Whether this is a place that can be gone on from.
   */
  resume(heldBytes: number): boolean {
    if (heldBytes < this.#begin || heldBytes > this.#begin + this.#length) return false;
    this.#offset = heldBytes;
    this.#isEndSent = this.#isOpen;
    this.hold(heldBytes);
    return true;
  }

  /** Forgets what the server has for good. @returns How many bytes more than before. */
  hold(heldBytes: number): number {
    let left = Math.min(heldBytes, this.#offset) - this.#begin;
    if (left <= 0) return 0;
    const held = left;
    this.#begin += left;
    this.#length -= left;
    for (let first = this.#chunks[0]; first !== undefined && left > 0; first = this.#chunks[0]) {
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        break;
      }
      left -= first.length;
      this.#chunks.shift();
    }
    return held;
  }

  /**
   * The next piece; undefined: nothing now.
   *
   * @param allowedBytes Where what may be sent now ends.
   */
  next(allowedBytes: number): InputPiece | undefined {
    const offset = this.#offset;
    const data = this.#pieceAt(offset, Math.min(MAX_PIECE_BYTES, allowedBytes - offset));
    const end = this.#isEnded && !this.#isOpen &&
      offset + data.length === this.#begin + this.#length;
    if (data.length === 0 && (!end || this.#isEndSent)) return undefined;
    this.#offset += data.length;
    this.#isEndSent ||= end;
    return { offset, data, end };
  }

  /** At most so many bytes from there on: what several chunks have is one piece. */
  #pieceAt(offset: number, maxBytes: number): Uint8Array {
    const parts: Uint8Array[] = [];
    let begin = this.#begin;
    let left = maxBytes;
    for (const chunk of this.#chunks) {
      if (left <= 0) break;
      const from = Math.max(0, offset - begin);
      begin += chunk.length;
      if (from >= chunk.length) continue;
      const part = chunk.subarray(from, from + left);
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? parts[0] ?? new Uint8Array() : concatenate(parts);
  }
}
