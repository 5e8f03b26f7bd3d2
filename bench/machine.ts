/** The machine that was measured on. */

/** Enough to know it again. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly date: string;
}

/** Describes this machine. */
export async function thisMachine(): Promise<Machine> {
  const cpuInfo = await Deno.readTextFile("/proc/cpuinfo");
  return {
    processor: /^model name\s*: (.+)$/m.exec(cpuInfo)?.[1] ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memoryGib: Math.round(Deno.systemMemoryInfo().total / 1024 ** 3),
    kernel: Deno.osRelease(),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** The same in a line. */
export function describeMachine(machine: Machine): string {
  const { processor, cores, memoryGib, kernel, date } = machine;
  return `${processor}, ${cores} cores, ${memoryGib} GiB, Linux ${kernel}, ${date}`;
}
