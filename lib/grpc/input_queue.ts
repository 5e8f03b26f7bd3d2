/** What has come of an input, and is not held yet: checked, and as bytes only. Pure. */
import type { InputRequest__Output } from "../../proto/contract.ts";
import { JobError } from "../errors.ts";

/** The longest piece of data in one message. */
export const MAX_INPUT_MESSAGE_BYTES = 256 * 1024;

/** Room for what comes at first; more is given back when nothing comes. */
const KEPT_CAPACITY_BYTES = 64 * 1024;

/** The bytes between what is held and what has come. */
export class InputQueue {
  /** Comes first. What {@linkcode peek} has lent lies here, and stays as it is. */
  #leaving = new Uint8Array(KEPT_CAPACITY_BYTES);
  #begin = 0;
  #end = 0;
  /** Takes what comes; in turns with the other one, since buffers cost more than what is copied to them. */
  #filling = new Uint8Array(KEPT_CAPACITY_BYTES);
  #filled = 0;
  /** Where the next bytes must begin. */
  #offset: number;
  #isEnded = false;

  /** @param offset Where the input goes on. */
  constructor(offset: number) {
    this.#offset = offset;
  }

  get length(): number {
    return this.#end - this.#begin + this.#filled;
  }

  /** Whether nothing comes after what is queued. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Takes a message.
   *
   * @param allowedBytes Where what may be sent ends.
   * @throws {JobError} "invalid" where it is not what comes next, or goes beyond.
   */
  take(
    { offset, data, end }: Pick<InputRequest__Output, "offset" | "data" | "end">,
    allowedBytes: number,
  ): void {
    if (data.length === 0 && !end) return;
    if (this.#isEnded) throw refusal("it has ended already");
    if (offset !== this.#offset) {
      throw refusal(`byte ${this.#offset} comes next, and not byte ${offset}`);
    }
    if (data.length > MAX_INPUT_MESSAGE_BYTES) {
      throw refusal(`a message has at most ${MAX_INPUT_MESSAGE_BYTES} bytes of it`);
    }
    if (offset + data.length > allowedBytes) {
      throw refusal(`bytes from ${allowedBytes} on may not be sent yet`);
    }
    this.#append(data);
    this.#offset += data.length;
    this.#isEnded = end;
  }

  /** First bytes, at most so many, and some where there are any. They are lent until they are dropped. */
  peek(maxBytes: number): Uint8Array<ArrayBuffer> {
    if (this.#begin === this.#end) {
      [this.#leaving, this.#filling] = [this.#filling, this.#leaving];
      [this.#begin, this.#end, this.#filled] = [0, this.#filled, 0];
    }
    return this.#leaving.subarray(this.#begin, Math.min(this.#end, this.#begin + maxBytes));
  }

  /** Removes the first bytes, of those that were lent. */
  drop(bytes: number): void {
    this.#begin += bytes;
  }

  /** Gives memory back: there may be many senders that wait for jobs which do not read. */
  release(): void {
    if (this.length > 0) return;
    if (this.#leaving.length > KEPT_CAPACITY_BYTES) {
      this.#leaving = new Uint8Array(KEPT_CAPACITY_BYTES);
      this.#begin = this.#end = 0;
    }
    if (this.#filling.length > KEPT_CAPACITY_BYTES) {
      this.#filling = new Uint8Array(KEPT_CAPACITY_BYTES);
    }
  }

  #append(data: Uint8Array): void {
    const filled = this.#filled + data.length;
    if (filled > this.#filling.length) {
      const bytes = new Uint8Array(Math.max(2 * this.#filling.length, filled));
      bytes.set(this.#filling.subarray(0, this.#filled));
      this.#filling = bytes;
    }
    this.#filling.set(data, this.#filled);
    this.#filled = filled;
  }
}

function refusal(problem: string): JobError {
  return new JobError("invalid", `Cannot take the job's input: ${problem}`);
}
