/** The files of one job, in `jobs/<id>/` below the log directory. */
import { join } from "node:path";
import { parseOomKills, parseUsage } from "./cgroup.ts";
import type { Ending } from "./executor.ts";
import { DIARY_FILE, type LaunchDiary, parseDiary } from "./launch_diary.ts";

/** Where jobs' folders are, below the log directory. */
export const JOBS_FOLDER = "jobs";

/** The file that a job's output goes to. */
export const OUTPUT_FILE = "output";

/** The file that a job reads from, where it was given something to read. */
export const INPUT_FILE = "input";

/** Reads a job's diary; undefined when there is none. */
export function readDiary(folder: string): LaunchDiary | undefined {
  try {
    return parseDiary(Deno.readTextFileSync(join(folder, DIARY_FILE)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** How a job ended, from its diary; undefined while that is not written. */
export function endingOf(folder: string): Ending | undefined {
  const exit = readDiary(folder)?.exit;
  if (exit === undefined) return undefined;
  // The end is the last thing that the launcher writes, so the file's time is the job's.
  const { mtime } = Deno.statSync(join(folder, DIARY_FILE));
  return {
    kind: "exited",
    exitCode: exit.status,
    signal: exit.bySignal ? exit.status - 128 : 0,
    oomKilled: parseOomKills(exit.counters) > 0,
    usage: parseUsage(exit.counters),
    endedAtMs: mtime?.getTime() ?? Date.now(),
  };
}
