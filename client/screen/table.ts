import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { PlacedJob } from "../jobs/placed_job.ts";
import { oneLine } from "../errors.ts";
import { exitCodeOf } from "../jobs/state.ts";
import { describeCommand } from "./command.ts";
import { shortState } from "./format.ts";
import { describeDuration } from "./quantities.ts";

/** Characters of an id that a table shows; every verb accepts them where they are unique. */
const SHORT_ID_CHARACTERS = 8;

/** Between two columns. */
const GAP = "  ";

/** The least width of the last column, in characters. */
const SHORTEST_LAST_COLUMN = 16;

/** Columns that are left out on a narrow terminal, the first one first. */
const EXPENDABLE = ["OWNER", "USER", "NODE", "TOOK", "EXIT", "STARTED"];

/** Characters that take one column each: most text. */
const ASCII = /^[\x20-\x7e]*$/;

/** Where a table goes. */
export interface Surface {
  /** Its width; undefined: unlimited, and nothing is cut off. */
  readonly columns: number | undefined;
  /** Whether it can show more than ASCII. */
  readonly isUnicode: boolean;
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
  const isOfCluster = jobs.some(({ job }) => placeOf(job) !== "-");
  const head = [
    ...["ID", "NAME", "STATE", ...isOfCluster ? ["NODE"] : [], "EXIT", "USER", "OWNER"],
    ...["STARTED", "TOOK", "COMMAND"],
  ];
  const rows = jobs.map(({ job }) => [
    job.jobID.slice(0, SHORT_ID_CHARACTERS),
    job.title || "-",
    shortState(job),
    ...isOfCluster ? [placeOf(job)] : [],
    exitOf(job),
    job.user || "-",
    job.owner || "-",
    ...describeTimes(job, nowMs),
    describeCommand(job),
  ]);
  const cells = [head, ...rows];
  return await formatRows(withContext ? addContexts(cells, jobs) : cells, surface, EXPENDABLE);
}

/** Puts a column with the context of each job in front of a head and its rows. */
export function addContexts(
  rows: readonly (readonly string[])[],
  jobs: readonly Pick<PlacedJob, "context">[],
): string[][] {
  const column = ["CONTEXT", ...jobs.map(({ context }) => context ?? "-")];
  return rows.map((row, index) => [column[index] ?? "", ...row]);
}

/**
 * Aligns rows of cells, with text of others made safe to print; lines are cut at the width of the surface.
 *
 * @param expendable Heads of columns that are left out, the first one first, where there is no room
 * for the last column.
 */
export async function formatRows(
  rows: readonly (readonly string[])[],
  surface: Surface,
  expendable: readonly string[] = [],
): Promise<string> {
  const widthOf = await loadWidthOf();
  const widths: number[] = [];
  const printable = rows.map((row) => row.map(oneLine));
  for (const row of printable) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, widthOf(cell));
    }
  }
  const [head = []] = printable;
  const shown = new Set(head.keys());
  const { columns = Infinity } = surface;
  for (const name of expendable) {
    if (neededColumns(widths, shown) <= columns) break;
    shown.delete(head.indexOf(name));
  }
  const lines = printable.map((row) =>
    [...shown].map((index) => {
      const cell = row[index] ?? "";
      return cell + " ".repeat((widths[index] ?? 0) - widthOf(cell));
    }).join(GAP).trimEnd()
  );
  return (await fitLines(lines, surface)).map((line) => `${line}\n`).join("");
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
    const known = isUnicode ? line : line.replace(/\P{ASCII}/gu, "?");
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
