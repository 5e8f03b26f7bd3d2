import { concatenate } from "../../common/bytes.ts";
import { Gap } from "./gap.ts";

/** Keeps the newest part of a job's output. */
export class OutputTail {
  readonly #maxBytes: number;
  readonly #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #droppedBytes = 0;

  /** @param maxBytes The most that is kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many bytes were dropped, including gaps. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Adds the next chunk. A gap drops everything before it, so that the rest is contiguous. */
  add(chunk: Uint8Array | Gap): void {
    if (chunk instanceof Gap) {
      this.#droppedBytes += chunk.length + this.#keptBytes;
      this.#chunks.length = 0;
      this.#keptBytes = 0;
      return;
    }
    this.#chunks.push(chunk);
    this.#keptBytes += chunk.length;
    while (this.#keptBytes > this.#maxBytes) this.#dropFrom(this.#keptBytes - this.#maxBytes);
  }

  /** The kept bytes in one piece. */
  bytes(): Uint8Array {
    return concatenate(this.#chunks);
  }

  /** Drops so many bytes of the oldest chunk, or all of it. */
  #dropFrom(excessBytes: number): void {
    const first = this.#chunks.shift();
    if (first === undefined) return;
    const left = first.subarray(Math.min(excessBytes, first.length));
    if (left.length > 0) this.#chunks.unshift(left);
    this.#keptBytes -= first.length - left.length;
    this.#droppedBytes += first.length - left.length;
  }
}
