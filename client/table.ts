import type { QueryResponse__Output } from "../proto/contract.ts";
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
 * @param columns How wide it may be; undefined: as wide as it gets.
 */
export async function formatTable(
  jobs: readonly QueryResponse__Output[],
  { columns = UNBOUNDED, nowMs }: { columns?: number | undefined; nowMs: number },
): Promise<string> {
  const head = ["ID", "NAME", "STATE", "EXIT", "USER", "OWNER", "STARTED", "TOOK", "COMMAND"];
  const rows = jobs.map((job) => [
    job.jobID.slice(0, SHORT_ID_CHARACTERS),
    job.title || "-",
    shortState(job),
    exitOf(job),
    job.user || "-",
    job.owner || "-",
    `${describeDuration(nowMs - job.startedAtMs)} ago`,
    describeDuration((job.endedAtMs || nowMs) - job.startedAtMs),
    describeCommand(job),
  ]);
  return await formatRows([head, ...rows], columns);
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
  return `${table.toString().split("\n").map((line) => cut(line.trimEnd(), columns)).join("\n")}\n`;
}

function cut(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`;
}

function exitOf(job: QueryResponse__Output): string {
  return job.exited && job.state !== "JOB_STATE_LOST" ? String(job.exitCode) : "-";
}
