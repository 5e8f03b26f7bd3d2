import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { PlacedJob } from "../jobs/placed_job.ts";
import { oneLine } from "../errors.ts";
import { hasFailed } from "../jobs/ending.ts";
import { exitCodeOf } from "../jobs/state.ts";
import { type Colour, paint } from "./colours.ts";
import { describeCommand } from "./command.ts";
import { shortState } from "./format.ts";
import { describeDuration } from "./quantities.ts";

/** Characters of an id that a table shows; every verb accepts them where they are unique. */
const SHORT_ID_CHARACTERS = 8;

/** Between two columns. */
const GAP = "  ";

/** The least width of the last column, in characters. */
const SHORTEST_LAST_COLUMN = 16;

/**
 * Columns that are left out on a narrow terminal, the first one first; before all of these, those in which
 * no job has anything.
 */
const EXPENDABLE = ["OWNER", "USER", "NODE", "WAITS FOR", "TOOK", "STARTED", "EXIT"];

/** What stands where there is nothing to tell. */
const NOTHING = "-";

/** The least width of a column of names that has to give way to the state. */
const SHORTEST_NAME_COLUMN = 12;

/** Characters that take one column each: most text. */
const ASCII = /^[\x20-\x7e]*$/;

/** Where a table goes. */
export interface Surface {
  /** Its width; undefined: unlimited, and nothing is cut off. */
  readonly columns: number | undefined;
  /** Whether it can show more than ASCII. */
  readonly isUnicode: boolean;
  /** Whether it shows colours. */
  readonly hasColours?: boolean;
}

/**
 * The jobs as a table for people.
 *
 * @param options Where it goes, and whether a column shows the context of each job.
 */
export async function formatTable(
  jobs: readonly PlacedJob[],
  { surface, nowMs, withContext }: { surface: Surface; nowMs: number; withContext: boolean },
): Promise<string> {
  const hasPlaces = jobs.some(({ job }) => placeOf(job) !== "-");
  const isOfCluster = jobs.some(({ job }) => job.node !== "" || job.engineJob !== "");
  const place = hasPlaces ? [isOfCluster ? "NODE" : "WAITS FOR"] : [];
  const head = [
    ...["ID", "NAME", "STATE", ...place, "EXIT", "USER", "OWNER"],
    ...["STARTED", "TOOK", "COMMAND"],
  ];
  const rows = jobs.map(({ job }) => [
    job.jobID.slice(0, SHORT_ID_CHARACTERS),
    job.title || "-",
    shortState(job),
    ...hasPlaces ? [placeOf(job)] : [],
    exitOf(job),
    job.user || "-",
    job.owner || "-",
    ...describeTimes(job, nowMs),
    describeCommand(job),
  ]);
  const cells = [head, ...rows];
  return await formatRows(withContext ? addContexts(cells, jobs) : cells, surface, {
    expendable: EXPENDABLE,
    painted: "STATE",
    colours: [undefined, ...jobs.map(({ job }) => hasFailed(job) ? "red" as const : undefined)],
  });
}

/** Puts a column with the context of each job in front of a head and its rows. */
export function addContexts(
  rows: readonly (readonly string[])[],
  jobs: readonly Pick<PlacedJob, "context">[],
): string[][] {
  const column = ["CONTEXT", ...jobs.map(({ context }) => context ?? "-")];
  return rows.map((row, index) => [column[index] ?? "", ...row]);
}

/** How rows are shown. */
export interface RowOptions {
  /** Heads of columns that are left out, the first one first, where there is no room for the last column. */
  readonly expendable?: readonly string[];
  /** The head of the column whose cells have colours; it comes before all expendable ones. */
  readonly painted?: string;
  /** The colour of each row's cell there. */
  readonly colours?: readonly (Colour | undefined)[];
}

/**
 * Aligns rows of cells, with text of others made safe to print; lines are cut at the width of the surface.
 */
export async function formatRows(
  rows: readonly (readonly string[])[],
  surface: Surface,
  { expendable = [], painted, colours = [] }: RowOptions = {},
): Promise<string> {
  const widthOf = await loadWidthOf();
  const printable = rows.map((row) => row.map((cell) => shownOn(surface, oneLine(cell))));
  const [head = [], ...body] = printable;
  const widths = head.map((_, index) =>
    printable.reduce((width, row) => Math.max(width, widthOf(row[index] ?? "")), 0)
  );
  const isEmpty = (name: string) => body.every((row) => row[head.indexOf(name)] === NOTHING);
  const shown = new Set(head.keys());
  const { columns = Infinity } = surface;
  for (const name of [...expendable.filter(isEmpty), ...expendable]) {
    if (neededColumns(widths, shown) <= columns) break;
    shown.delete(head.indexOf(name));
  }
  await shortenNames({ printable, widths, surface }, neededColumns(widths, shown) - columns);
  const places = printable.map((row) => {
    let line = "";
    let paintedAt = 0;
    for (const index of shown) {
      const cell = row[index] ?? "";
      if (head[index] === painted) paintedAt = line.length;
      line += cell + " ".repeat((widths[index] ?? 0) - widthOf(cell)) + GAP;
    }
    return { line: line.trimEnd(), paintedAt, cell: row[head.indexOf(painted ?? "")] ?? "" };
  });
  const fitted = await fitLines(places.map(({ line }) => line), surface);
  return places.map(({ paintedAt, cell }, row) => {
    const line = fitted[row] ?? "";
    const colour = surface.hasColours ? colours[row] : undefined;
    const end = paintedAt + cell.length;
    const text = colour === undefined || end > line.length
      ? line
      : `${line.slice(0, paintedAt)}${paint(cell, colour)}${line.slice(end)}`;
    return `${text}\n`;
  }).join("");
}

/** Cuts names where there is no room for the state behind them; ids stay whole. */
async function shortenNames(
  { printable, widths, surface }: {
    readonly printable: string[][];
    readonly widths: number[];
    readonly surface: Surface;
  },
  excessColumns: number,
): Promise<void> {
  const index = printable[0]?.indexOf("NAME") ?? -1;
  if (index < 0 || excessColumns <= 0) return;
  const width = widths[index] ?? 0;
  const columns = Math.min(width, Math.max(width - excessColumns, SHORTEST_NAME_COLUMN));
  const names = await fitLines(printable.map((row) => row[index] ?? ""), { ...surface, columns });
  for (const [row, cells] of printable.entries()) cells[index] = names[row] ?? "";
  widths[index] = columns;
}

/** What a surface can show of a text. */
function shownOn({ columns, isUnicode }: Surface, text: string): string {
  return columns === undefined || isUnicode ? text : text.replace(/\P{ASCII}/gu, "?");
}

/** The width of these columns with the least width of the last one. */
function neededColumns(widths: readonly number[], shown: ReadonlySet<number>): number {
  const last = widths.length - 1;
  return [...shown].reduce((sum, index) => {
    const width = widths[index] ?? 0;
    return sum + (index === last ? Math.min(width, SHORTEST_LAST_COLUMN) : width + GAP.length);
  }, 0);
}

/**
 * Makes lines that a surface can show: cut at its width, and without characters that it cannot show.
 */
export async function fitLines(
  lines: readonly string[],
  { columns, isUnicode }: Surface,
): Promise<string[]> {
  if (columns === undefined) return [...lines];
  const widthOf = await loadWidthOf();
  const segmenter = new Intl.Segmenter();
  return lines.map((line) => {
    const known = shownOn({ columns, isUnicode }, line);
    // A character takes at most two columns.
    if (2 * known.length <= columns || widthOf(known) <= columns) return known;
    let kept = "";
    let width = 0;
    for (const { segment } of segmenter.segment(known)) {
      width += widthOf(segment);
      // One column is for the mark.
      if (width > columns - 1) break;
      kept += segment;
    }
    return `${kept}${isUnicode ? "…" : ">"}`;
  });
}

async function loadWidthOf(): Promise<(text: string) => number> {
  const { default: stringWidth } = await import("string-width");
  return (text) => ASCII.test(text) ? text.length : stringWidth(text);
}

/** Where a job of a cluster runs or ran, or what a job waits for: `(Resources)`. */
function placeOf(job: QueryResponse__Output): string {
  return job.node || (job.pendingReason ? `(${job.pendingReason})` : "-");
}

/** When a job began, and how long it took; of one that has not begun, neither. */
function describeTimes({ startedAtMs, endedAtMs }: QueryResponse__Output, nowMs: number): string[] {
  if (!startedAtMs) return ["-", "-"];
  return [
    `${describeDuration(nowMs - startedAtMs)} ago`,
    describeDuration((endedAtMs || nowMs) - startedAtMs),
  ];
}

function exitOf(job: QueryResponse__Output): string {
  return String(exitCodeOf(job) ?? "-");
}
