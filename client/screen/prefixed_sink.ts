import { concatenate } from "../../common/bytes.ts";
import type { Sink } from "../jobs/follow.ts";

const NEWLINE = 10;

/** A line that is longer is written in pieces of this size, each on a line of its own. */
export const MAX_LINE_BYTES = 64 * 1024;

/** Writes whole lines of one job among those of others, each with the job's prefix. */
export class PrefixedSink implements Sink {
  readonly #sink: { write(bytes: Uint8Array): void; note(text: string): void };
  readonly #name: string;
  readonly #prefix: Uint8Array;
  /** The beginning of a line whose end has not come yet. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** Whether the last line was cut: its end may come by itself. */
  #isCut = false;

  /** @param job What the user calls it, and what stands before its lines. */
  constructor(
    sink: { write(bytes: Uint8Array): void; note(text: string): void },
    { name, prefix }: { readonly name: string; readonly prefix: string },
  ) {
    this.#sink = sink;
    this.#name = name;
    this.#prefix = new TextEncoder().encode(prefix);
  }

  write(bytes: Uint8Array): void {
    const lines: Uint8Array[] = [];
    let begin = this.#isCut && bytes[0] === NEWLINE ? 1 : 0;
    if (bytes.length > 0) this.#isCut = false;
    while (begin < bytes.length) {
      const newline = bytes.indexOf(NEWLINE, begin);
      const last = begin + MAX_LINE_BYTES - this.#partBytes;
      const end = Math.min(newline < 0 ? bytes.length : newline, last);
      const isEnd = end === newline;
      this.#hold(bytes.subarray(begin, end));
      if (isEnd || end === last) lines.push(this.#takeLine());
      this.#isCut = !isEnd && end === last;
      begin = isEnd ? end + 1 : end;
      if (this.#isCut && bytes[begin] === NEWLINE) {
        begin += 1;
        this.#isCut = false;
      }
    }
    if (lines.length > 0) this.#sink.write(concatenate(lines));
  }

  /** Ends the line that has been begun, where there is one: no more of it comes. */
  endLine(): void {
    if (this.#partBytes > 0) this.#sink.write(this.#takeLine());
  }

  note(text: string): void {
    this.#sink.note(`${this.#name}: ${text}`);
  }

  #hold(bytes: Uint8Array): void {
    // The buffer that it is in may be used again.
    this.#parts.push(bytes.slice());
    this.#partBytes += bytes.length;
  }

  #takeLine(): Uint8Array {
    const line = concatenate([this.#prefix, ...this.#parts, Uint8Array.of(NEWLINE)]);
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }
}
