import { Option } from "commander";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ExitStatus } from "../exit_status.ts";
import { binaryBytes, describeCommand, toJson } from "../format.ts";
import { listJobs } from "../list.ts";
import { collectedOption, parsePair } from "../options.ts";
import { formatRows } from "../table.ts";
import type { Verb } from "../verb.ts";

interface StatsOptions {
  readonly label?: readonly string[];
  readonly json?: true;
}

/** Rates are what has come between two looks, so long apart. */
const INTERVAL_MS = 1000;

const ENCODER = new TextEncoder();

/** What one look has found. */
interface Sample {
  readonly atMs: number;
  readonly jobs: readonly QueryResponse__Output[];
}

/** `stats`: prints what running jobs use. */
export const statsVerb: Verb = {
  name: "stats",

  define(command) {
    command.summary("print what running jobs use");
    command.description(
      "Prints what running jobs use now: processor and disk over one second, memory and processes.",
    );
    command.addOption(
      collectedOption("-l, --label <key=value>", "with this label; may be repeated"),
    );
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
    const { label = [], json } = command.opts<StatsOptions>();
    const labels = Object.fromEntries(label.map((text) => parsePair(text, "--label")));
    const states = ["JOB_STATE_RUNNING", "JOB_STATE_STOPPING"] as const;
    const look = async (): Promise<Sample> => ({
      atMs: performance.now(),
      jobs: await Array.fromAsync(
        listJobs(session, { states: [...states], labels, withUsage: true }),
      ),
    });
    const before = await look();
    if (before.jobs.length > 0) await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    const after = before.jobs.length > 0 ? await look() : before;
    const rows = ratesOf(before, after);
    const text = json
      ? rows.map((row) =>
        `${JSON.stringify({ ...toJson(row.job, row.job.jobID), ...row.rates })}\n`
      ).join("")
      : await formatRows([HEAD, ...rows.map(toCells)], terminal.columns);
    terminal.write(ENCODER.encode(text));
    return ExitStatus.ok;
  },
};

/** A job, and what it has used a second between two looks. */
interface Rated {
  readonly job: QueryResponse__Output;
  readonly rates: {
    readonly cpuPercent: number | null;
    readonly readBytesPerSecond: number | null;
    readonly writtenBytesPerSecond: number | null;
  };
}

function ratesOf(before: Sample, after: Sample): Rated[] {
  const seconds = (after.atMs - before.atMs) / 1000;
  const earlier = new Map(before.jobs.map((job) => [job.jobID, job.usage]));
  return after.jobs.map((job) => {
    const rate = (name: "cpuUsec" | "readBytes" | "writtenBytes") => {
      const [from, to] = [earlier.get(job.jobID)?.[name], job.usage?.[name]];
      return typeof from === "number" && typeof to === "number" && seconds > 0
        ? (to - from) / seconds
        : null;
    };
    const cpu = rate("cpuUsec");
    return {
      job,
      rates: {
        cpuPercent: cpu === null ? null : Math.round(cpu / 1000) / 10,
        readBytesPerSecond: rate("readBytes"),
        writtenBytesPerSecond: rate("writtenBytes"),
      },
    };
  });
}

const HEAD = ["ID", "NAME", "CPU", "MEMORY", "PEAK", "READ/s", "WRITE/s", "PROCESSES", "COMMAND"];

function toCells({ job, rates }: Rated): string[] {
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
