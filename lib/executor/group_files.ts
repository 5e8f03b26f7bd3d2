/** Control groups as they stand in the kernel: counted, awaited, removed. */
import { setTimeout as delay } from "node:timers/promises";
import type { CounterName, Placement } from "../cgroup/types.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** How often a group is looked at that nothing tells about; only orphans are waited for so. */
const EMPTY_CHECK_INTERVAL_MS = 250;

/** Reads the counters of jobs, all at once; a file that is gone is left out. */
export async function readCounters(
  placements: readonly Placement[],
): Promise<Map<CounterName, string>[]> {
  const files = placements.flatMap(({ counters }) => counters.map(({ file }) => file));
  const texts = parseFiles(await runScript(scripts.read, files));
  return placements.map((placement) => {
    const counters = new Map<CounterName, string>();
    for (const { name, file } of placement.counters) {
      const text = texts.get(file);
      if (text !== undefined && text !== "") counters.set(name, text);
    }
    return counters;
  });
}

/** Whether a process of the job is left. */
export async function hasProcesses(placement: Placement): Promise<boolean> {
  const texts = parseFiles(await runScript(scripts.read, [placement.populatedFile]));
  const text = texts.get(placement.populatedFile) ?? "";
  return placement.populatedFile.endsWith("cgroup.events")
    ? /^populated 1$/m.test(text)
    : /^\d+$/m.test(text);
}

/** Waits until no process of the job is left. */
export async function whenEmpty(placement: Placement): Promise<void> {
  while (await hasProcesses(placement)) {
    await delay(EMPTY_CHECK_INTERVAL_MS);
  }
}

/** Removes a job's groups, with those that it has made in them; what has a process in it is left. */
export async function removeGroups(groups: readonly string[]): Promise<void> {
  const left = await removeEmptyGroups(groups);
  // Where the host has no room for a process, groups stay until the server's next start.
  if (left.length > 0) await runScript(scripts.remove, left).catch(() => {});
}

/**
 * Removes groups that have no process and no other group in them.
 *
 * @returns Those that are left.
 */
export async function removeEmptyGroups(groups: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const group of groups) {
    try {
      await Deno.remove(group);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) left.push(group);
    }
  }
  return left;
}

/** Parses what lib/shim/read.sh prints. */
function parseFiles(text: string): Map<string, string> {
  const texts = new Map<string, string>();
  let file: string | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("file ")) texts.set(file = line.slice("file ".length), "");
    else if (line === "end") file = undefined;
    else if (file !== undefined) texts.set(file, `${texts.get(file) ?? ""}${line}\n`);
  }
  return texts;
}
