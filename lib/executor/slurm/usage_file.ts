/**
 * What a job uses, as its listener counts it on the node (lib/shim/listen.sh) while the number in the file `watch`
 * changes: the file `usage` of the job's folder has `usage MILLISECONDS`, counters as in the launch record, and `end`.
 */
import { join } from "node:path";
import { parseUsage } from "../../cgroup/counters.ts";
import type { Usage } from "../../cgroup/types.ts";
import { parseCounters } from "../launch_record.ts";
import { ForgedFileError, replaceFile } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";

const USAGE_FILE = "usage";
const WATCH_FILE = "watch";

/** Counters of a node with hundreds of disks are smaller. A job could make the file longer. */
const MAX_BYTES = 128 * 1024;

/** What a node has counted. */
export interface CountedUsage {
  /** Another one each time. */
  readonly mark: string;
  readonly usage: Usage;
}

/** The file of a job's folder that is renewed while somebody looks. */
export function watchFileIn(folder: string): string {
  return join(folder, WATCH_FILE);
}

/** Lets the listener go on for a minute. @param nowMs Another number each time. */
export async function renewWatch(folder: string, nowMs: number): Promise<void> {
  // The job's user reads it.
  await replaceFile(watchFileIn(folder), `${nowMs}\n`, { mode: 0o644 });
}

/**
 * Reads what was counted last; undefined: there is nothing, or nothing whole.
 *
 * @param folder The folder of what the node writes.
 */
export async function readUsageFile(folder: string): Promise<CountedUsage | undefined> {
  try {
    const file = await readNodeFile(join(folder, USAGE_FILE), { maxBytes: MAX_BYTES });
    return file && parseUsageFile(file.text, file.writtenAtMs);
  } catch (error) {
    if (error instanceof ForgedFileError) return undefined;
    throw error;
  }
}

/** Parses the file. @param asOfMs When it was written. */
export function parseUsageFile(text: string, asOfMs: number): CountedUsage | undefined {
  const [first = "", ...lines] = text.split("\n").slice(0, -1);
  if (!/^usage \d{1,15}$/.test(first) || lines.pop() !== "end") return undefined;
  return { mark: first, usage: { ...parseUsage(parseCounters(lines)), asOfMs } };
}
