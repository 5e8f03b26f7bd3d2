import { describeCommand } from "./command.ts";
import { binaryBytes } from "./quantities.ts";
import { stateOf } from "../jobs/state.ts";
import type { Rated } from "../jobs/usage.ts";

/** The columns of a job's resource usage. */
export const USAGE_HEAD = [
  "ID",
  "NAME",
  "CPU",
  "MEMORY",
  "PEAK",
  "READ/s",
  "WRITE/s",
  "PROCESSES",
  "COMMAND",
];

/** Columns that are left out on a narrow terminal, the first one first. */
export const USAGE_EXPENDABLE = ["PEAK", "PROCESSES", "READ/s", "WRITE/s", "HISTORY"];

/** A job's resource usage as a row. */
export function usageCells({ job, rates }: Rated): string[] {
  const bytes = (value: number | null | undefined) =>
    typeof value === "number" ? binaryBytes(value) : "-";
  return [
    job.jobID.slice(0, 8),
    job.title || "-",
    rates.cpuPercent === null ? idleText(job) : `${rates.cpuPercent} %`,
    bytes(job.usage?.memoryBytes),
    bytes(job.usage?.memoryPeakBytes),
    bytes(rates.readBytesPerSecond),
    bytes(rates.writtenBytesPerSecond),
    String(job.usage?.processes ?? "-"),
    describeCommand(job),
  ];
}

/** What stands in place of the use of a processor. */
function idleText(job: Rated["job"]): string {
  return stateOf(job) === "pending" ? "pending" : "-";
}
