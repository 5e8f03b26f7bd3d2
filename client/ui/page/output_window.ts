/** The part of a job's output that the page holds: whole lines, bounded. Pure. */
import { concatenate } from "../../../common/bytes.ts";
import { type Look, type Piece, PLAIN, readLine } from "./ansi.ts";

/** More lines would make the page slow. */
const MAX_LINES = 5_000;

/** More bytes would take too much memory. */
const MAX_BYTES = 1024 ** 2;

/** A longer line is shown as several: browsers are slow to lay out very long lines. */
const MAX_LINE_BYTES = 8 * 1024;

const LINE_END = 0x0a;

/** One line of the window. A changed line is another object. */
export interface Line {
  /** `note`: a remark between the job's own lines. */
  readonly kind: "output" | "note";
  readonly pieces: readonly Piece[];
  /** Where in the job's output it begins. */
  readonly offset: number;
  /** How many bytes of the output it stands for. */
  readonly length: number;
}

/** What a window is bounded by. */
export interface WindowBounds {
  readonly maxLines: number;
  readonly maxBytes: number;
}

/** Consecutive output that grows at one end and is dropped at the other. */
export class OutputWindow {
  readonly #bounds: WindowBounds;
  #lines: Line[] = [];
  #bytes = 0;
  /** The line that has no end yet: its bytes, and where they begin. */
  #open: Uint8Array = new Uint8Array();
  #end = 0;
  #isOpenShown = false;
  /** How the lines up to the open one leave off. */
  #look: Look = PLAIN;
  readonly #decoder = new TextDecoder();

  constructor(bounds: WindowBounds = { maxLines: MAX_LINES, maxBytes: MAX_BYTES }) {
    this.#bounds = bounds;
  }

  get lines(): readonly Line[] {
    return this.#lines;
  }

  /** The offset of the first byte that is held. */
  get begin(): number {
    return this.#lines[0]?.offset ?? this.#end;
  }

  /** The offset behind the last byte that is held. */
  get end(): number {
    return this.#end;
  }

  /** Adds the next bytes; when there is too much the first lines are dropped. */
  append(bytes: Uint8Array, offset: number): void {
    if (offset !== this.#end) this.#closeLine();
    this.#end = offset + bytes.length;
    let rest = this.#open.length === 0 ? bytes : concatenate([this.#open, bytes]);
    let begin = this.#end - rest.length;
    this.#hideOpen();
    for (;;) {
      const cut = lineLength(rest);
      if (cut === undefined) break;
      this.#push(this.#parse(rest.subarray(0, cut), begin, { keepsLook: true }));
      rest = rest.subarray(cut);
      begin += cut;
    }
    this.#open = rest.slice();
    if (rest.length > 0) {
      this.#push(this.#parse(rest, begin, { keepsLook: false }));
      this.#isOpenShown = true;
    }
    while (this.#isTooMuch()) this.#forget(this.#lines.shift());
  }

  /** Adds a note. */
  note(text: string): void {
    this.#closeLine();
    const pieces = [{ text, look: PLAIN }];
    this.#push({ kind: "note", pieces, offset: this.#end, length: 0 });
  }

  /** Puts another window's lines, which end where these begin, before them; the last ones go. */
  prepend(earlier: OutputWindow): void {
    this.#lines = [...earlier.lines, ...this.#lines];
    this.#bytes += earlier.#bytes;
    if (!this.#isTooMuch()) return;
    while (this.#isTooMuch()) this.#forget(this.#lines.pop());
    const last = this.#lines.at(-1);
    this.#end = last === undefined ? this.#end : last.offset + last.length;
    this.#open = new Uint8Array();
    this.#isOpenShown = false;
    this.#look = PLAIN;
  }

  #isTooMuch(): boolean {
    const { maxLines, maxBytes } = this.#bounds;
    return this.#lines.length > maxLines || this.#bytes > maxBytes && this.#lines.length > 1;
  }

  #push(line: Line): void {
    this.#lines.push(line);
    this.#bytes += line.length;
  }

  #forget(line: Line | undefined): void {
    this.#bytes -= line?.length ?? 0;
  }

  #hideOpen(): void {
    if (this.#isOpenShown) this.#forget(this.#lines.pop());
    this.#isOpenShown = false;
  }

  /** Leaves an open line as it is: what comes next is another one. */
  #closeLine(): void {
    this.#open = new Uint8Array();
    this.#isOpenShown = false;
  }

  #parse(bytes: Uint8Array, offset: number, { keepsLook }: { keepsLook: boolean }): Line {
    const hasEnd = bytes.at(-1) === LINE_END;
    const text = this.#decoder.decode(hasEnd ? bytes.subarray(0, -1) : bytes);
    const { pieces, look } = readLine(text, this.#look);
    if (keepsLook) this.#look = look;
    return { kind: "output", pieces, offset, length: bytes.length };
  }
}

/** How many bytes the first line takes, with its end; undefined where it may go on. */
function lineLength(bytes: Uint8Array): number | undefined {
  const index = bytes.indexOf(LINE_END);
  if (index >= 0 && index < MAX_LINE_BYTES) return index + 1;
  if (bytes.length < MAX_LINE_BYTES) return undefined;
  let cut = MAX_LINE_BYTES;
  // Not inside a character: UTF-8 has at most three bytes 10xxxxxx after the first.
  while (cut > MAX_LINE_BYTES - 3 && ((bytes[cut] ?? 0) & 0xc0) === 0x80) cut -= 1;
  return cut;
}

/** A line's text. */
export function textOf(line: Line): string {
  return line.pieces.map(({ text }) => text).join("");
}
