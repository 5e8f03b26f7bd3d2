/** The control groups of jobs on this host: reads counters, waits for the last process, removes. */
import { setTimeout as delay } from "node:timers/promises";
import type { CounterName, Placement } from "../cgroup/types.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** How often the group of an orphaned job is checked for processes. */
const EMPTY_CHECK_INTERVAL_MS = 250;

/** How long after the processes of a failed start could not be killed they are killed again. */
const DISCARD_RETRY_MS = 500;

/**
 * Reads the counters of jobs, all at once; a file that is gone is left out.
 *
 * @param read Does what lib/shim/read.sh does.
 * @returns The texts of each placement's counter files, in the order of the placements.
 */
export async function readCounters(
  placements: readonly Placement[],
  read: (files: readonly string[]) => Promise<string>,
): Promise<Map<CounterName, string>[]> {
  const files = placements.flatMap(({ counters }) => counters.map(({ file }) => file));
  const texts = parseFiles(await read(files));
  return placements.map((placement) => {
    const counters = new Map<CounterName, string>();
    for (const { name, file } of placement.counters) {
      const text = texts.get(file);
      if (text !== undefined && text !== "") counters.set(name, text);
    }
    return counters;
  });
}

/**
 * Whether a process of the job is left.
 *
 * @throws Where that cannot be found out: the host has no process or no descriptor left, say.
 */
export async function hasProcesses(
  { populatedFile, tracker, groups }: Pick<Placement, "populatedFile" | "tracker" | "groups">,
): Promise<boolean> {
  // Of a cgroup v2 group that file tells also of the groups within it.
  const others = populatedFile.endsWith("cgroup.events")
    ? groups.filter((group) => group !== tracker)
    : groups;
  const text = await runScript(scripts.populated, [populatedFile, ...others], { who: "checks" });
  return /^(?:populated 1|[1-9]\d*)$/m.test(text);
}

/** Waits until no process of the job is left. */
export async function whenEmpty(
  placement: Placement,
  checkIntervalMs = EMPTY_CHECK_INTERVAL_MS,
): Promise<void> {
  // A check fails where the host has no room for its process; then a later one decides.
  while (await hasProcesses(placement).catch(() => true)) {
    await delay(checkIntervalMs);
  }
}

/**
 * Whether no process of a job is left, in the kernel's words: it removes no group that has a process in
 * it, or in a group that the job has made there. Removes the groups then. Costs no process for most jobs.
 *
 * @throws Where that cannot be found out.
 */
export async function isVacated(placement: Placement): Promise<boolean> {
  const left = await removeEmptyGroups(placement.groups);
  if (left.length > 0 && await hasProcesses(placement)) return false;
  if (left.length > 0) await removeGroups(left);
  return true;
}

/** Waits until no process of a job is left, and removes its groups. */
export async function whenVacated(placement: Placement): Promise<void> {
  await whenEmpty(placement);
  await removeGroups(placement.groups);
}

/**
 * Removes the groups of a job that has ended, with those that it has made in them; a process that is in
 * one all the same is killed.
 */
export async function removeGroups(groups: readonly string[]): Promise<void> {
  const left = await removeEmptyGroups(groups);
  // Where the host has no room for a process, groups stay until the server's next start.
  if (left.length > 0) await runScript(scripts.remove, left).catch(() => {});
}

/**
 * Removes the groups of a job that must not run. Its launcher may have been killed after it forked
 * the job: what has entered a group is killed; what has not can no longer enter one, and so refuses.
 *
 * @throws Where what has entered a group could not be killed: the host has no process left, say.
 */
export async function discardGroups(groups: readonly string[]): Promise<void> {
  const left = await removeEmptyGroups(groups);
  if (left.length === 0) return;
  await runScript(scripts.signal, ["KILL", ...left]);
  await removeGroups(left);
}

/** Does what {@linkcode discardGroups} does, again and again until it succeeds. */
export async function insistOnDiscarding(groups: readonly string[]): Promise<void> {
  for (;;) {
    try {
      return await discardGroups(groups);
    } catch (error) {
      log.error("cannot kill what a failed start has left, trying again", {
        error: messageOf(error),
      });
      await delay(DISCARD_RETRY_MS);
    }
  }
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

/**
 * Parses what lib/shim/read.sh prints.
 *
 * @returns Texts by path: whole lines only; "" for a file that could not be read.
 */
export function parseFiles(text: string): Map<string, string> {
  const texts = new Map<string, string>();
  let file: string | undefined;
  for (const line of text.split("\n").slice(0, -1)) {
    if (line.startsWith("file ")) texts.set(file = line.slice("file ".length), "");
    else if (line === "end") file = undefined;
    else if (file !== undefined) texts.set(file, `${texts.get(file) ?? ""}${line}\n`);
  }
  return texts;
}
