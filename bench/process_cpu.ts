/** How much of a core a process uses. */

/** Clock ticks a second in /proc/PID/stat: the kernel's constant for programs (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** The part of a core that a process uses while it is observed, in percent. */
export async function cpuPercent(pid: number, observedMs: number): Promise<number> {
  const before = await cpuTicks(pid);
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, observedMs));
  const seconds = (performance.now() - begin) / 1000;
  return (await cpuTicks(pid) - before) / TICKS_PER_SECOND / seconds * 100;
}

/** User and system time: fields 14 and 15 of proc(5), counted behind the name in brackets. */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
