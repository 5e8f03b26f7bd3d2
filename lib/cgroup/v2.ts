/** The files of cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst). */
import type { DiskRates, Limits } from "../../common/limits.ts";
import { changesDisks } from "./disk_changes.ts";
import { type Controller, type ControllerFiles, CPU_PERIOD_USEC, type Setting } from "./types.ts";

/** The key of each limit of a disk in io.max. */
const IO_KEYS: readonly (readonly [keyof DiskRates, string])[] = [
  ["readBytesPerSecond", "rbps"],
  ["writeBytesPerSecond", "wbps"],
  ["readOperationsPerSecond", "riops"],
  ["writeOperationsPerSecond", "wiops"],
];

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
    settings: ({ memoryBytes, memoryHighBytes }) => [
      ...memoryHighBytes === undefined ? [] : [memoryHigh(memoryHighBytes)],
      ...memoryBytes === undefined ? [] : [
        { file: "memory.max", value: String(memoryBytes) },
        { file: "memory.swap.max", value: "0", optional: true },
        { file: "memory.oom.group", value: "1", optional: true },
      ],
    ],
    // Swap first: what cannot be freed from memory must not go there when memory.max is set.
    changes: ({ memoryBytes, memoryHighBytes }, names) => [
      ...names.has("memoryHighBytes") ? [memoryHigh(memoryHighBytes)] : [],
      ...!names.has("memoryBytes") ? [] : [
        {
          file: "memory.swap.max",
          value: memoryBytes === undefined ? "max" : "0",
          optional: true,
        },
        { file: "memory.max", value: String(memoryBytes ?? "max") },
        { file: "memory.oom.group", value: memoryBytes === undefined ? "0" : "1", optional: true },
      ],
    ],
    // memory.peak came with Linux 5.19.
    counters: ["memory.current", "memory.peak", "memory.events"],
  },
  io: {
    settings: namedDisks,
    diskSettings: (limits) => ioMax(IO_KEYS.filter(([name]) => limits[name] !== undefined), limits),
    // After those for each disk, of which a disk that was named before has all.
    changes: (limits, names) => changesDisks(names) ? namedDisks(limits) : [],
    diskChanges: (limits, names) =>
      ioMax(IO_KEYS.filter(([name]) => names.has(name) || names.has("disks")), limits),
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
  cpuset: {
    settings: ({ allowedCpus }) =>
      allowedCpus === undefined ? [] : [{ file: "cpuset.cpus", value: allowedCpus }],
    // Nothing stands for all of the parent's.
    changes: ({ allowedCpus }, names) =>
      names.has("allowedCpus") ? [{ file: "cpuset.cpus", value: allowedCpus ?? "" }] : [],
    counters: [],
  },
};

function cpuMax(cpuCores: number | undefined): string {
  const quota = cpuCores === undefined ? "max" : Math.round(cpuCores * CPU_PERIOD_USEC);
  return `${quota} ${CPU_PERIOD_USEC}`;
}

function memoryHigh(bytes: number | undefined): Setting {
  return { file: "memory.high", value: String(bytes ?? "max") };
}

function namedDisks({ disks = [] }: Limits): Setting[] {
  return disks.flatMap((disk) =>
    ioMax(IO_KEYS.filter(([name]) => disk[name] !== undefined), disk).map(({ file, value }) => ({
      file,
      value: `${disk.number} ${value}`,
    }))
  );
}

/** Sets these limits of a disk; the kernel keeps the others. */
function ioMax(keys: typeof IO_KEYS, limits: DiskRates): Setting[] {
  if (keys.length === 0) return [];
  const value = keys.map(([name, key]) => `${key}=${limits[name] ?? "max"}`).join(" ");
  return [{ file: "io.max", value }];
}
