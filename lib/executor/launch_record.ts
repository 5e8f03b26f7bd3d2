/**
 * The text in which a job's launcher (lib/shim/launch.sh) records what it has done. It outlives the
 * server: a later server learns from it what became of a job.
 */
import { parseOomKills, parseUsage } from "../cgroup/counters.ts";
import type { CounterName } from "../cgroup/types.ts";
import type { Ending } from "../model/ending.ts";

/** Identifies a process, and never a later one with the same id. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks from the boot to the process's start (proc(5), field 22 of /proc/PID/stat). */
  startTime: string;
}

/** What the launcher has written so far. */
export interface LaunchRecord {
  launcher?: ProcessIdentity & { bootId: string };
  /** The main process. Launchers of earlier versions do not tell its start time. */
  job?: { pid: number; startTime?: string };
  /** How the job ended; present when this part is complete. `status` is 0 to 255. */
  exit?: {
    status: number;
    bySignal: boolean;
    /** Bytes at the end of the output that the disk refused. */
    unwrittenBytes: number;
    /** The same of the standard error, where that is kept apart. */
    unwrittenErrorBytes: number;
    counters: Map<CounterName, string>;
  };
}

/** The line of the exit status: other numbers are no status, and were not written by a launcher. */
export const EXIT_LINE = /^exit (\d{1,2}|1\d\d|2[0-4]\d|25[0-5])$/;

/** Parses a launch record; a half-written line or record counts as not written. */
export function parseLaunchRecord(text: string): LaunchRecord {
  const launch: LaunchRecord = {};
  const lines = text.split("\n").slice(0, -1);
  const launcher = /^launcher (\d+) (\d+) (\S+)$/.exec(lines[0] ?? "");
  if (launcher === null) return launch;
  const [, pid = "", startTime = "", bootId = ""] = launcher;
  launch.launcher = { pid: Number(pid), startTime, bootId };
  const job = /^job (\d{1,9})(?: (\d+))?$/.exec(lines[1] ?? "");
  if (job === null) return launch;
  launch.job = { pid: Number(job[1]), ...(job[2] !== undefined && { startTime: job[2] }) };
  const exitLine = lines.findIndex((line) => EXIT_LINE.test(line));
  const endLine = lines.indexOf("end", exitLine);
  if (exitLine === -1 || endLine === -1) return launch;
  const status = Number(lines[exitLine]?.slice("exit ".length));
  const unwritten = /^unwritten(?:-errors)? (\d{1,15})$/;
  const between = lines.slice(2, exitLine);
  launch.exit = {
    status,
    // Besides, the shell prints only a message about the signal that ended the job.
    bySignal: between.some((line) => !unwritten.test(line)) && status > 128,
    unwrittenBytes: bytesAfter("unwritten ", between),
    unwrittenErrorBytes: bytesAfter("unwritten-errors ", between),
    counters: parseCounters(lines.slice(exitLine + 1, endLine)),
  };
  return launch;
}

/** The number in the first whole line with a beginning; 0: there is none. */
function bytesAfter(key: string, lines: readonly string[]): number {
  const numbers = lines.filter((line) => line.startsWith(key)).map((line) =>
    line.slice(key.length)
  );
  return Number(numbers.find((text) => /^\d{1,15}$/.test(text)) ?? 0);
}

/** How a job ended whose launch record was complete at a time. */
export function endingOf(
  { status, bySignal, unwrittenBytes, unwrittenErrorBytes, counters }: NonNullable<
    LaunchRecord["exit"]
  >,
  endedAtMs: number,
): Extract<Ending, { kind: "exited" }> {
  return {
    kind: "exited",
    exitCode: status,
    signal: bySignal ? status - 128 : 0,
    oomKilled: parseOomKills(counters) > 0,
    usage: parseUsage(counters),
    ...(unwrittenBytes > 0 ? { unwrittenBytes } : {}),
    ...(unwrittenErrorBytes > 0 ? { unwrittenErrorBytes } : {}),
    endedAtMs,
  };
}

/** Takes counters apart: `counter NAME`, and the lines of its file. */
export function parseCounters(lines: readonly string[]): Map<CounterName, string> {
  const counters = new Map<CounterName, string>();
  let name: CounterName | undefined;
  for (const line of lines) {
    if (line.startsWith("counter ")) {
      name = line.slice("counter ".length) as CounterName;
      counters.set(name, "");
    } else if (name !== undefined) {
      counters.set(name, `${counters.get(name) ?? ""}${line}\n`);
    }
  }
  return counters;
}
