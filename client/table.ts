import type { QueryResponse__Output } from "../proto/contract.ts";
import type { PlacedJob } from "./ask_all.ts";
import { oneLine } from "./errors.ts";
import { describeCommand, describeDuration, shortState } from "./format.ts";

/** Characters of an id that a table shows; they are enough for every verb where no two jobs share them. */
const SHORT_ID_CHARACTERS = 8;

/** Columns of a table where standard output is no terminal: nothing is cut off. */
const UNBOUNDED = 10_000;

/** A table without lines. */
const PLAIN = Object.fromEntries(
  [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
    "middle",
  ].map((name) => [name, ""]),
);

/**
 * The jobs as a table for people.
 *
 * @param options How wide it may be (undefined: as wide as it gets), and whether each job is told
 * with its context.
 */
export async function formatTable(
  jobs: readonly PlacedJob[],
  { columns = UNBOUNDED, nowMs, withContext }: {
    columns?: number | undefined;
    nowMs: number;
    withContext: boolean;
  },
): Promise<string> {
  const head = ["ID", "NAME", "STATE", "EXIT", "USER", "OWNER", "STARTED", "TOOK", "COMMAND"];
  const rows = jobs.map(({ job }) => [
    job.jobID.slice(0, SHORT_ID_CHARACTERS),
    job.title || "-",
    shortState(job),
    exitOf(job),
    job.user || "-",
    oneLine(job.owner) || "-",
    `${describeDuration(nowMs - job.startedAtMs)} ago`,
    describeDuration((job.endedAtMs || nowMs) - job.startedAtMs),
    describeCommand(job),
  ]);
  const cells = [head, ...rows];
  const contexts = ["CONTEXT", ...jobs.map(({ context }) => context ?? "-")];
  return await formatRows(withContext ? addColumn(cells, contexts) : cells, columns);
}

/** Puts a column in front of the others. */
export function addColumn(
  rows: readonly (readonly string[])[],
  column: readonly string[],
): string[][] {
  return rows.map((row, index) => [column[index] ?? "", ...row]);
}

/** Lines up rows of cells; the last one is cut where the terminal ends. */
export async function formatRows(
  rows: readonly (readonly string[])[],
  columns: number = UNBOUNDED,
): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const table = new Table({
    chars: PLAIN,
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
  });
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split("\n").map((line) => line.trimEnd());
  return `${(await cutLines(lines, columns)).join("\n")}\n`;
}

/** Cuts lines where the terminal ends: by what they take there, which is two columns for some. */
export async function cutLines(lines: readonly string[], columns: number): Promise<string[]> {
  const { default: widthOf } = await import("string-width");
  const segmenter = new Intl.Segmenter();
  return lines.map((line) => {
    // No character takes more than two columns.
    if (2 * line.length <= columns || widthOf(line) <= columns) return line;
    let kept = "";
    let width = 0;
    for (const { segment } of segmenter.segment(line)) {
      width += widthOf(segment);
      // One column is for the mark.
      if (width > columns - 1) break;
      kept += segment;
    }
    return `${kept}…`;
  });
}

function exitOf(job: QueryResponse__Output): string {
  return job.exited && job.state !== "JOB_STATE_LOST" ? String(job.exitCode) : "-";
}
