/** Colours and other control sequences (ECMA-48) in a job's output. Pure. */

/** How a piece of text looks. Colours are 0 to 15 of a terminal's, or `#rrggbb`. */
export interface Look {
  readonly foreground?: number | string;
  readonly background?: number | string;
  readonly bold?: true;
  readonly faint?: true;
  readonly italic?: true;
  readonly underline?: true;
  readonly inverse?: true;
}

/** Text with one look. */
export interface Piece {
  readonly text: string;
  readonly look: Look;
}

/** No attributes. */
export const PLAIN: Look = {};

/**
 * Control sequences: CSI (with its parameters and final byte), strings such as OSC up to their
 * terminator, two-character escapes, and one that the end of the line has cut.
 */
const SEQUENCE =
  // deno-lint-ignore no-control-regex -- they are what is looked for
  /\x1b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]|$)/g;

/** Characters without a glyph, or that change the writing direction: shown, not interpreted. */
const UNSHOWABLE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Splits a line into pieces of one look.
 *
 * @param line Without its line end.
 * @param look The look at the end of the line before.
 * @returns The pieces, and the look at the end.
 */
export function readLine(line: string, look: Look): { pieces: Piece[]; look: Look } {
  let pieces: Piece[] = [];
  let now = look;
  // A carriage return begins the line anew, as progress bars do; what is overwritten is gone.
  const text = line.replace(/\r+$/, "");
  const begin = text.lastIndexOf("\r") + 1;
  let last = 0;
  const add = (part: string, at: number) => {
    const shown = at + part.length <= begin ? "" : part.slice(Math.max(0, begin - at));
    if (shown !== "") pieces.push({ text: showControls(shown), look: now });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(text.slice(last, match.index), last);
    last = match.index + match[0].length;
    if (match[2] === "m") now = applyCodes(now, match[1] ?? "");
    // "Erase the line" is what progress bars send before they write it anew.
    else if (match[2] === "K" && match[1] === "2") pieces = [];
  }
  add(text.slice(last), last);
  return { pieces, look: now };
}

/** Makes characters without a glyph visible: control characters as U+2400 and following, others by number. */
export function showControls(text: string): string {
  return text.replace(UNSHOWABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === "\t") return character;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

/** Select Graphic Rendition. */
function applyCodes(look: Look, text: string): Look {
  const codes = text.split(/[;:]/).map(Number);
  let next: Record<string, unknown> = { ...look };
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index] ?? 0;
    if (code === 38 || code === 48) {
      const { colour, used } = readColour(codes.slice(index + 1));
      if (colour !== undefined) next[code === 38 ? "foreground" : "background"] = colour;
      index += used;
    } else {
      next = applyCode(next, code);
    }
  }
  return next;
}

function applyCode(look: Record<string, unknown>, code: number): Record<string, unknown> {
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(look).filter(([name]) => !names.includes(name)));
  const attribute = ({ 1: "bold", 2: "faint", 3: "italic", 4: "underline", 7: "inverse" } as const)[
    code
  ];
  if (attribute !== undefined) return { ...look, [attribute]: true };
  if (code === 0) return {};
  if (code === 22) return without("bold", "faint");
  if (code === 23) return without("italic");
  if (code === 24) return without("underline");
  if (code === 27) return without("inverse");
  if (code === 39) return without("foreground");
  if (code === 49) return without("background");
  if (code >= 30 && code <= 37) return { ...look, foreground: code - 30 };
  if (code >= 40 && code <= 47) return { ...look, background: code - 40 };
  if (code >= 90 && code <= 97) return { ...look, foreground: code - 82 };
  if (code >= 100 && code <= 107) return { ...look, background: code - 92 };
  return look;
}

/** `5;N` or `2;R;G;B`, as they follow 38 and 48. */
function readColour(codes: readonly number[]): { colour?: number | string; used: number } {
  const [kind, first = 0, second = 0, third = 0] = codes;
  if (kind === 2) return { colour: hex([first, second, third]), used: 4 };
  if (kind !== 5) return { used: 1 };
  if (first < 16) return { colour: first, used: 2 };
  if (first >= 232) return { colour: hex(Array(3).fill(8 + (first - 232) * 10)), used: 2 };
  const level = (value: number) => value === 0 ? 0 : 55 + value * 40;
  const cube = first - 16;
  const parts = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  return { colour: hex(parts.map(level)), used: 2 };
}

function hex(parts: readonly number[]): string {
  const byte = (value: number) => Math.max(0, Math.min(255, Math.floor(value) || 0));
  return `#${parts.map((part) => byte(part).toString(16).padStart(2, "0")).join("")}`;
}
