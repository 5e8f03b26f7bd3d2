/** How much of a core processes use. */
import { childrenOf } from "../tests/support/system_calls.ts";

/** Clock ticks a second in /proc/PID/stat: the kernel's constant for programs (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** The part of a core that a process uses while it is observed, in percent. */
export async function cpuPercent(pid: number, observedMs: number): Promise<number> {
  return await cpuPercentOfAll([pid], observedMs);
}

/** The same of several together; they must not end meanwhile. */
export async function cpuPercentOfAll(
  pids: readonly number[],
  observedMs: number,
): Promise<number> {
  const ticks = async () =>
    (await Promise.all(pids.map(cpuTicks))).reduce((sum, each) => sum + each, 0);
  const before = await ticks();
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, observedMs));
  const seconds = (performance.now() - begin) / 1000;
  return (await ticks() - before) / TICKS_PER_SECOND / seconds * 100;
}

/** The children of a process, and theirs. */
export async function processesBelow(pid: number): Promise<number[]> {
  const pids = await childrenOf(pid);
  return [...pids, ...(await Promise.all(pids.map(processesBelow))).flat()];
}

/** User and system time: fields 14 and 15 of proc(5), counted behind the name in brackets. */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
