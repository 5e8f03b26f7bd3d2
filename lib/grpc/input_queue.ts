/** What has come of an input, and is not held yet: checked, and as bytes only. Pure. */
import type { InputRequest__Output } from "../../proto/contract.ts";
import { JobError } from "../errors.ts";

/** The longest piece of data in one message. */
export const MAX_INPUT_MESSAGE_BYTES = 256 * 1024;

/** Room for what comes at first; more is given back when nothing comes. */
const KEPT_CAPACITY_BYTES = 64 * 1024;

/** The bytes between what is held and what has come. */
export class InputQueue {
  #bytes = new Uint8Array(KEPT_CAPACITY_BYTES);
  #begin = 0;
  #end = 0;
  /** Where the next bytes must begin. */
  #offset: number;
  #isEnded = false;

  /** @param offset Where the input goes on. */
  constructor(offset: number) {
    this.#offset = offset;
  }

  get length(): number {
    return this.#end - this.#begin;
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

  /** A copy of the first bytes, at most so many. */
  peek(maxBytes: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(this.#begin, Math.min(this.#end, this.#begin + maxBytes));
  }

  /** Removes the first bytes. */
  drop(bytes: number): void {
    this.#begin += bytes;
    if (this.#begin < this.#end) return;
    this.#begin = this.#end = 0;
  }

  /** Gives memory back: there may be many senders that wait for jobs which do not read. */
  release(): void {
    if (this.length === 0) this.#bytes = new Uint8Array(KEPT_CAPACITY_BYTES);
  }

  #append(data: Uint8Array): void {
    if (this.#end + data.length > this.#bytes.length) {
      const capacity = Math.max(this.#bytes.length, 2 * (this.length + data.length));
      const bytes = this.length + data.length <= this.#bytes.length / 2
        ? this.#bytes
        : new Uint8Array(capacity);
      bytes.set(this.#bytes.subarray(this.#begin, this.#end));
      [this.#bytes, this.#begin, this.#end] = [bytes, 0, this.length];
    }
    this.#bytes.set(data, this.#end);
    this.#end += data.length;
  }
}

function refusal(problem: string): JobError {
  return new JobError("invalid", `Cannot take the job's input: ${problem}`);
}
