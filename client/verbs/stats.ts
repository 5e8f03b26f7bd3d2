import { Option } from "commander";
import { ExitStatus } from "../exit_status.ts";
import { binaryBytes, describeCommand, toJson } from "../format.ts";
import { labelOption, parsePairs } from "../options.ts";
import { formatRows } from "../table.ts";
import { measureUsage, type Rated } from "../usage.ts";
import type { Verb } from "../verb.ts";

interface StatsOptions {
  readonly label?: readonly string[];
  readonly json?: true;
}

/** Rates are what has come between two looks, so long apart. */
const INTERVAL_MS = 1000;

const ENCODER = new TextEncoder();

/** `stats`: prints what running jobs use. */
export const statsVerb: Verb = {
  name: "stats",

  define(command) {
    command.summary("print what running jobs use");
    command.description(
      "Prints what running jobs use now: processor and disk over one second, memory and processes.",
    );
    command.addOption(labelOption());
    command.addOption(new Option("--json", "one JSON object a line"));
    command.addHelpText(
      "after",
      `
100 % of CPU is one core.

Examples:
  worker-client stats
  worker-client stats --json | jq 'select(.cpuPercent > 90)'`,
    );
  },

  async run({ session, terminal }, command) {
    const { label, json } = command.opts<StatsOptions>();
    const labels = parsePairs(label, "--label");
    const rows = await measureUsage(session, { labels, intervalMs: INTERVAL_MS });
    const text = json
      ? rows.map((row) =>
        `${JSON.stringify({ ...toJson(row.job, row.job.jobID), ...row.rates })}\n`
      ).join("")
      : await formatRows([USAGE_HEAD, ...rows.map(usageCells)], terminal.columns);
    terminal.write(ENCODER.encode(text));
    return ExitStatus.ok;
  },
};

/** The columns of a job's use. */
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

/** A job's use as a row of a table. */
export function usageCells({ job, rates }: Rated): string[] {
  const bytes = (value: number | null | undefined) =>
    typeof value === "number" ? binaryBytes(value) : "-";
  return [
    job.jobID.slice(0, 8),
    job.title || "-",
    rates.cpuPercent === null ? "-" : `${rates.cpuPercent} %`,
    bytes(job.usage?.memoryBytes),
    bytes(job.usage?.memoryPeakBytes),
    bytes(rates.readBytesPerSecond),
    bytes(rates.writtenBytesPerSecond),
    String(job.usage?.processes ?? "-"),
    describeCommand(job),
  ];
}
