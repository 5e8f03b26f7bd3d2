/** Which of the processes that launch records name are still alive. */
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";
import type { ProcessIdentity } from "./launch_record.ts";

/**
 * Checks processes, all in one script.
 *
 * @returns Those that are alive.
 * @throws When the host has no room for the script's process.
 */
export async function findAlive<T extends ProcessIdentity>(
  processes: readonly T[],
): Promise<Set<T>> {
  const names = new Set((await runScript(scripts.alive, processes.map(nameOf))).split("\n"));
  return new Set(processes.filter((process) => names.has(nameOf(process))));
}

/** A process as scripts take and print it. */
export function nameOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}:${startTime}`;
}
