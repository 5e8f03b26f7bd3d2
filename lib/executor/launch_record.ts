/**
 * The file in which a job's launcher (lib/shim/launch.sh) says what it has done. It outlives the
 * server, so it is from here that a later server learns what became of a job.
 */
import { join } from "node:path";
import { parseOomKills, parseUsage } from "../cgroup/counters.ts";
import { type CounterName } from "../cgroup/types.ts";
import type { Ending } from "../model/ending.ts";

/** A process that cannot be mistaken for a later one with the same id. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks from the boot to the process's start (proc(5), field 22 of /proc/PID/stat). */
  startTime: string;
}

/** What the launcher has written so far. */
export interface LaunchRecord {
  launcher?: ProcessIdentity & { bootId: string };
  job?: { pid: number };
  /** Present when the record of the job's end is complete. */
  exit?: { status: number; bySignal: boolean; counters: Map<CounterName, string> };
}

/** Parses a launch record; a half-written line or record counts as not written. */
export function parseLaunchRecord(text: string): LaunchRecord {
  const launch: LaunchRecord = {};
  const lines = text.split("\n").slice(0, -1);
  const launcher = /^launcher (\d+) (\d+) (\S+)$/.exec(lines[0] ?? "");
  if (launcher === null) return launch;
  const [, pid = "", startTime = "", bootId = ""] = launcher;
  launch.launcher = { pid: Number(pid), startTime, bootId };
  const job = /^job (\d+)$/.exec(lines[1] ?? "");
  if (job === null) return launch;
  launch.job = { pid: Number(job[1]) };
  const exitLine = lines.findIndex((line) => /^exit \d+$/.test(line));
  const endLine = lines.indexOf("end", exitLine);
  if (exitLine === -1 || endLine === -1) return launch;
  const status = Number(lines[exitLine]?.slice("exit ".length));
  launch.exit = {
    status,
    // Between the two lines stands only what the shell says of a signal.
    bySignal: exitLine > 2 && status > 128,
    counters: parseCounters(lines.slice(exitLine + 1, endLine)),
  };
  return launch;
}

function parseCounters(lines: readonly string[]): Map<CounterName, string> {
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

/** What a server writes, instead of a launcher, into the launch record of a start that it has given up. */
export const WITHDRAWN = "withdrawn\n";

/** The name of the launch record in a job's folder. */
export const LAUNCH_RECORD_FILE = "launch";

/** The file that a job reads from, where it was given something to read. */
export const INPUT_FILE = "input";

/** Reads a job's launch record; undefined when there is none. */
export function readLaunchRecord(folder: string): LaunchRecord | undefined {
  try {
    return parseLaunchRecord(Deno.readTextFileSync(join(folder, LAUNCH_RECORD_FILE)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** How a job ended, from its launch record; undefined while that is not written. */
export function endingOf(folder: string): Ending | undefined {
  const exit = readLaunchRecord(folder)?.exit;
  if (exit === undefined) return undefined;
  // The end is the last thing that the launcher writes, so the file's time is the job's.
  const { mtime } = Deno.statSync(join(folder, LAUNCH_RECORD_FILE));
  return {
    kind: "exited",
    exitCode: exit.status,
    signal: exit.bySignal ? exit.status - 128 : 0,
    oomKilled: parseOomKills(exit.counters) > 0,
    usage: parseUsage(exit.counters),
    endedAtMs: mtime?.getTime() ?? Date.now(),
  };
}
