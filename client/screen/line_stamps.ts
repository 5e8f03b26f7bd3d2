/** Puts the time before each line of an output. Pure. */
import { concatenate } from "../../common/bytes.ts";

const NEWLINE = 10;
const END_OF_LINE = Uint8Array.of(NEWLINE);

/** Marks lines of output that comes in pieces; a line that comes in several has one mark. */
export class LineStamps {
  #isInLine = false;

  /** @param timeMs When the bytes were written: milliseconds since 1970-01-01 UTC. */
  mark(bytes: Uint8Array, timeMs: number): Uint8Array {
    const stamp = new TextEncoder().encode(`${new Date(timeMs).toISOString()} `);
    const parts: Uint8Array[] = [];
    for (let begin = 0; begin < bytes.length;) {
      const newline = bytes.indexOf(NEWLINE, begin);
      const end = newline < 0 ? bytes.length : newline + 1;
      if (!this.#isInLine) parts.push(stamp);
      parts.push(bytes.subarray(begin, end));
      this.#isInLine = newline < 0;
      begin = end;
    }
    return concatenate(parts);
  }

  /** What is to be written where bytes are missing: the line before ends there. */
  markGap(): Uint8Array {
    const isInLine = this.#isInLine;
    this.#isInLine = false;
    return isInLine ? END_OF_LINE : new Uint8Array();
  }
}
