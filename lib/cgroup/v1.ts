/** The files of cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1/, scheduler/sched-bwc.rst). */
import type { DiskRates, Limits } from "../../common/limits.ts";
import { changesDisks } from "./disk_changes.ts";
import { type Controller, type ControllerFiles, CPU_PERIOD_USEC, type Setting } from "./types.ts";

/** The file of each limit of a disk. */
const THROTTLES: readonly (readonly [keyof DiskRates, string])[] = [
  ["readBytesPerSecond", "blkio.throttle.read_bps_device"],
  ["writeBytesPerSecond", "blkio.throttle.write_bps_device"],
  ["readOperationsPerSecond", "blkio.throttle.read_iops_device"],
  ["writeOperationsPerSecond", "blkio.throttle.write_iops_device"],
];

/** What each controller's files are called and mean on cgroup v1. */
export const v1Controllers: Record<Controller, ControllerFiles> = {
  cpu: {
    settings: ({ cpuCores }) =>
      cpuCores === undefined ? [] : [
        { file: "cpu.cfs_period_us", value: String(CPU_PERIOD_USEC) },
        { file: "cpu.cfs_quota_us", value: quotaOf(cpuCores) },
      ],
    changes: ({ cpuCores }, names) =>
      !names.has("cpuCores") ? [] : [
        { file: "cpu.cfs_period_us", value: String(CPU_PERIOD_USEC) },
        { file: "cpu.cfs_quota_us", value: quotaOf(cpuCores) },
      ],
    lowWeight: [{ file: "cpu.shares", value: "102" }], // The default is 1024.
    counters: ["cpu.stat"],
  },
  cpuacct: { settings: () => [], changes: () => [], counters: ["cpuacct.usage"] },
  memory: {
    // The limit of memory with swap must not be below that of memory, hence the order. The file is
    // absent where the kernel does not account for swap.
    settings: ({ memoryBytes }) =>
      memoryBytes === undefined ? [] : [
        { file: "memory.limit_in_bytes", value: String(memoryBytes) },
        { file: "memory.memsw.limit_in_bytes", value: String(memoryBytes), optional: true },
      ],
    // That with swap is out of the way first, whichever of the limits before and after is the higher one.
    changes: ({ memoryBytes }, names) =>
      !names.has("memoryBytes") ? [] : [
        { file: "memory.memsw.limit_in_bytes", value: UNLIMITED, optional: true },
        { file: "memory.limit_in_bytes", value: textOf(memoryBytes) },
        { file: "memory.memsw.limit_in_bytes", value: textOf(memoryBytes), optional: true },
      ],
    counters: ["memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"],
  },
  io: {
    settings: namedDisks,
    diskSettings: (limits) => THROTTLES.flatMap(([name, file]) => throttle(file, limits[name])),
    // After those for each disk, of which a disk that was named before has all.
    changes: (limits, names) => changesDisks(names) ? namedDisks(limits) : [],
    diskChanges: (limits, names) =>
      THROTTLES.filter(([name]) => names.has(name) || names.has("disks"))
        .flatMap(([name, file]) => throttle(file, limits[name] ?? 0)),
    // Each is there with its own scheduler of disk requests; the defaults are 500 and 100.
    lowWeight: [{ file: "blkio.weight", value: "50" }, { file: "blkio.bfq.weight", value: "10" }],
    counters: ["blkio.throttle.io_service_bytes_recursive"],
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
    // Nothing stands for all of the parent's. A job without a limit is in no group of this controller.
    changes: ({ allowedCpus }, names) =>
      !names.has("allowedCpus")
        ? []
        : allowedCpus === undefined
        ? [{ file: "cpuset.cpus", value: "", optional: true }]
        : [{ file: "cpuset.cpus", value: allowedCpus }],
    counters: [],
  },
};

/** No limit, for the files that take numbers. */
const UNLIMITED = "-1";

function textOf(limit: number | undefined): string {
  return limit === undefined ? UNLIMITED : String(limit);
}

function quotaOf(cpuCores: number | undefined): string {
  return textOf(cpuCores === undefined ? undefined : Math.round(cpuCores * CPU_PERIOD_USEC));
}

function namedDisks({ disks = [] }: Limits): Setting[] {
  return disks.flatMap((disk) =>
    THROTTLES.flatMap(([name, file]) => throttle(file, disk[name])).map(({ file, value }) => ({
      file,
      value: `${disk.number} ${value}`,
    }))
  );
}

/** Sets the limit of a disk; 0 takes it away. */
function throttle(file: string, rate: number | undefined): Setting[] {
  return rate === undefined ? [] : [{ file, value: String(rate) }];
}
