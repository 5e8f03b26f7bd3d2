import { Gap } from "./gap.ts";

/** Keeps the newest of a job's output. */
export class OutputTail {
  readonly #maxBytes: number;
  readonly #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #droppedBytes = 0;

  /** @param maxBytes How much is kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many bytes are not kept, with those that never came. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Adds what comes next. What was rotated away takes along what came before: there is no hole. */
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

  /** What is kept, in one piece. */
  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#keptBytes);
    let position = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, position);
      position += chunk.length;
    }
    return whole;
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
