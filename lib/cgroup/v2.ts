/** The files of cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst). */
import type { Controller, ControllerFiles } from "./types.ts";
import { CPU_PERIOD_USEC } from "./types.ts";

/** What each controller's files are called and mean on cgroup v2. */
export const v2Controllers: Record<Controller, ControllerFiles> = {
  cpu: {
    settings: ({ cpuCores }) =>
      cpuCores === undefined ? [] : [{ file: "cpu.max", value: cpuMax(cpuCores) }],
    changes: ({ cpuCores }, names) =>
      names.has("cpuCores") ? [{ file: "cpu.max", value: cpuMax(cpuCores) }] : [],
    lowWeight: [{ file: "cpu.weight", value: "10" }], // The default is 100.
    counters: [],
  },
  // Every v2 group counts CPU time, whether the cpu controller is enabled or not.
  cpuacct: { settings: () => [], changes: () => [], counters: ["cpu.stat"] },
  memory: {
    // memory.oom.group: a job that lost one process to the OOM killer is not left half alive.
    // memory.swap.max is absent where the kernel has no swap.
    settings: ({ memoryBytes }) =>
      memoryBytes === undefined ? [] : [
        { file: "memory.max", value: String(memoryBytes) },
        { file: "memory.swap.max", value: "0", optional: true },
        { file: "memory.oom.group", value: "1", optional: true },
      ],
    // Swap first: what cannot be freed from memory must not go there when memory.max is set.
    changes: ({ memoryBytes }, names) =>
      !names.has("memoryBytes") ? [] : [
        {
          file: "memory.swap.max",
          value: memoryBytes === undefined ? "max" : "0",
          optional: true,
        },
        { file: "memory.max", value: String(memoryBytes ?? "max") },
        { file: "memory.oom.group", value: memoryBytes === undefined ? "0" : "1", optional: true },
      ],
    // memory.peak came with Linux 5.19.
    counters: ["memory.current", "memory.peak", "memory.events"],
  },
  io: {
    settings: () => [],
    diskSettings: ({ readBytesPerSecond, writeBytesPerSecond }) => {
      const rates = [
        ...(readBytesPerSecond === undefined ? [] : [`rbps=${readBytesPerSecond}`]),
        ...(writeBytesPerSecond === undefined ? [] : [`wbps=${writeBytesPerSecond}`]),
      ];
      return rates.length === 0 ? [] : [{ file: "io.max", value: rates.join(" ") }];
    },
    changes: () => [],
    diskChanges: ({ readBytesPerSecond, writeBytesPerSecond }, names) => {
      const rates = [
        ...names.has("readBytesPerSecond") ? [`rbps=${readBytesPerSecond ?? "max"}`] : [],
        ...names.has("writeBytesPerSecond") ? [`wbps=${writeBytesPerSecond ?? "max"}`] : [],
      ];
      return rates.length === 0 ? [] : [{ file: "io.max", value: rates.join(" ") }];
    },
    // Each is there with its own scheduler of disk requests; the default is 100.
    lowWeight: [{ file: "io.weight", value: "10" }, { file: "io.bfq.weight", value: "10" }],
    counters: ["io.stat"],
  },
  pids: {
    settings: ({ processes }) =>
      processes === undefined ? [] : [{ file: "pids.max", value: String(processes) }],
    changes: ({ processes }, names) =>
      names.has("processes") ? [{ file: "pids.max", value: String(processes ?? "max") }] : [],
    counters: ["pids.current"],
  },
};

function cpuMax(cpuCores: number | undefined): string {
  const quota = cpuCores === undefined ? "max" : Math.round(cpuCores * CPU_PERIOD_USEC);
  return `${quota} ${CPU_PERIOD_USEC}`;
}
