/**
 * Draws the lines of a window. It changes only those that differ: a framework that compares thousands
 * of lines for each piece of output would keep the browser busy.
 *
 * Output becomes text nodes and never markup.
 */
import type { Look, Piece } from "./ansi.ts";
import { type Line, textOf } from "./output_window.ts";

/** More matches are not highlighted, but counted. */
const MAX_MARKS = 2_000;

/** Names of highlights in main.css. */
const ALL_MATCHES = "match";
const CURRENT_MATCH = "current-match";

/** A match of the searched text. */
interface Match {
  readonly line: Line;
  readonly begin: number;
  readonly end: number;
}

/** The element that holds the lines, and what is marked in it. */
export class OutputLines {
  readonly #root: HTMLElement;
  #shown: { line: Line; element: HTMLElement }[] = [];
  #search = "";
  #matches: Match[] = [];
  #current: Match | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** How many places there are, and which of them is the current one (from 1; 0: none). */
  get count(): { readonly all: number; readonly current: number } {
    const current = this.#current === undefined ? -1 : this.#indexOf(this.#current);
    return { all: this.#matches.length, current: current + 1 };
  }

  /** The offset of the line with the current place. */
  get currentOffset(): number | undefined {
    return this.#current?.line.offset;
  }

  /** Draws these lines in the place of those before; what is in sight stays where it is. */
  draw(lines: readonly Line[]): void {
    const wanted = new Set(lines);
    const anchor = this.#shown.find(({ line }) => wanted.has(line))?.element;
    const anchorTop = anchor?.offsetTop ?? 0;
    const kept = this.#shown.filter(({ line, element }) => {
      if (wanted.has(line)) return true;
      element.remove();
      return false;
    });
    const elements = new Map(kept.map(({ line, element }) => [line, element]));
    const first = kept[0];
    const before = document.createDocumentFragment();
    const after = document.createDocumentFragment();
    let isBefore = first !== undefined;
    this.#shown = lines.map((line) => {
      if (line === first?.line) isBefore = false;
      const known = elements.get(line);
      if (known !== undefined) return { line, element: known };
      const element = drawLine(line);
      (isBefore ? before : after).append(element);
      return { line, element };
    });
    this.#root.prepend(before);
    this.#root.append(after);
    this.#root.scrollTop += (anchor?.offsetTop ?? 0) - anchorTop;
    this.search(this.#search);
  }

  /** Marks all places where a text stands, in any case. */
  search(text: string): void {
    const isNew = text !== this.#search;
    this.#search = text;
    this.#matches = text === "" ? [] : this.#shown.flatMap(({ line }) => findIn(line, text));
    if (isNew || this.#current === undefined || this.#indexOf(this.#current) < 0) {
      this.#current = isNew ? this.#matches.at(-1) : undefined;
    }
    this.#mark();
  }

  /** Goes to the next place (1) or the one before (-1), round the ends; shows it. */
  step(direction: 1 | -1): void {
    const { length } = this.#matches;
    if (length === 0) return;
    const index = this.#current === undefined ? -1 : this.#indexOf(this.#current);
    const next = index < 0 ? (direction > 0 ? 0 : length - 1) : (index + direction) % length;
    this.#current = this.#matches.at(next);
    this.#mark();
    this.showCurrent();
  }

  /** Makes the place at an offset, or the first behind it, the current one. */
  choose(offset: number): void {
    this.#current = this.#matches.find(({ line }) => line.offset + line.length > offset);
    this.#mark();
    this.showCurrent();
  }

  /** Scrolls to the current place. */
  showCurrent(): void {
    const element = this.#shown.find(({ line }) => line === this.#current?.line)?.element;
    if (element === undefined) return;
    // The pane alone: the page stays where it is.
    const { top, height } = element.getBoundingClientRect();
    const pane = this.#root.getBoundingClientRect();
    this.#root.scrollTop += top - pane.top - (pane.height - height) / 2;
  }

  #indexOf(match: Match): number {
    return this.#matches.findIndex(({ line, begin }) =>
      line.offset === match.line.offset && begin === match.begin
    );
  }

  #mark(): void {
    const elements = new Map(this.#shown.map(({ line, element }) => [line, element]));
    const ranges = (matches: readonly Match[]) =>
      matches.flatMap((match) => {
        const element = elements.get(match.line);
        return element === undefined ? [] : [rangeOf(element, match)];
      });
    CSS.highlights.set(ALL_MATCHES, new Highlight(...ranges(this.#matches.slice(-MAX_MARKS))));
    CSS.highlights.set(
      CURRENT_MATCH,
      new Highlight(...ranges(this.#current === undefined ? [] : [this.#current])),
    );
  }
}

function findIn(line: Line, text: string): Match[] {
  if (line.kind !== "output") return [];
  const found: Match[] = [];
  const inside = textOf(line).toLowerCase();
  const wanted = text.toLowerCase();
  for (let at = inside.indexOf(wanted); at >= 0; at = inside.indexOf(wanted, at + wanted.length)) {
    found.push({ line, begin: at, end: at + wanted.length });
  }
  return found;
}

function drawLine(line: Line): HTMLElement {
  const element = document.createElement("div");
  element.className = line.kind === "note" ? "line note" : "line";
  element.append(...line.pieces.map(drawPiece));
  // An empty line has the height of a line.
  if (line.pieces.length === 0) element.append(document.createElement("br"));
  return element;
}

function drawPiece({ text, look }: Piece): Node {
  const node = document.createTextNode(text);
  if (Object.keys(look).length === 0) return node;
  const element = document.createElement("span");
  const { foreground: _foreground, background: _background, ...flags } = look;
  element.classList.add(...Object.keys(flags));
  paint(element, look);
  element.append(node);
  return element;
}

/** The sixteen colours are the style sheet's, for light and dark; others are the job's own. */
function paint(element: HTMLElement, { foreground, background }: Look): void {
  if (typeof foreground === "number") element.classList.add(`foreground-${foreground}`);
  else if (foreground !== undefined) element.style.color = foreground;
  if (typeof background === "number") element.classList.add(`background-${background}`);
  else if (background !== undefined) element.style.backgroundColor = background;
}

/** The place in the document where a match stands. */
function rangeOf(element: HTMLElement, { begin, end }: Match): Range {
  const range = document.createRange();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let passed = 0;
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const length = node.textContent?.length ?? 0;
    if (begin >= passed && begin < passed + length) range.setStart(node, begin - passed);
    if (end > passed && end <= passed + length) {
      range.setEnd(node, end - passed);
      break;
    }
    passed += length;
  }
  return range;
}
