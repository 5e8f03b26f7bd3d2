/** The files of cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1/, scheduler/sched-bwc.rst). */
import { type Controller, type ControllerFiles, CPU_PERIOD_USEC, type Setting } from "./types.ts";

/** What each controller's files are called and mean on cgroup v1. */
export const v1Controllers: Record<Controller, ControllerFiles> = {
  cpu: {
    settings: ({ cpuCores }) =>
      cpuCores === undefined ? [] : [
        { file: "cpu.cfs_period_us", value: String(CPU_PERIOD_USEC) },
        { file: "cpu.cfs_quota_us", value: String(Math.round(cpuCores * CPU_PERIOD_USEC)) },
      ],
    lowWeight: [{ file: "cpu.shares", value: "102" }], // The default is 1024.
    counters: ["cpu.stat"],
  },
  cpuacct: { settings: () => [], counters: ["cpuacct.usage"] },
  memory: {
    // The limit of memory with swap must not be below that of memory, hence the order. The file is
    // absent where the kernel does not account for swap.
    settings: ({ memoryBytes }) =>
      memoryBytes === undefined ? [] : [
        { file: "memory.limit_in_bytes", value: String(memoryBytes) },
        { file: "memory.memsw.limit_in_bytes", value: String(memoryBytes), optional: true },
      ],
    counters: ["memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"],
  },
  io: {
    settings: () => [],
    diskSettings: ({ readBytesPerSecond, writeBytesPerSecond }) => [
      ...throttle("blkio.throttle.read_bps_device", readBytesPerSecond),
      ...throttle("blkio.throttle.write_bps_device", writeBytesPerSecond),
    ],
    // Each is there with its own scheduler of disk requests; the defaults are 500 and 100.
    lowWeight: [{ file: "blkio.weight", value: "50" }, { file: "blkio.bfq.weight", value: "10" }],
    counters: ["blkio.throttle.io_service_bytes_recursive"],
  },
  pids: {
    settings: ({ processes }) =>
      processes === undefined ? [] : [{ file: "pids.max", value: String(processes) }],
    counters: ["pids.current"],
  },
};

function throttle(file: string, bytesPerSecond: number | undefined): Setting[] {
  return bytesPerSecond === undefined ? [] : [{ file, value: String(bytesPerSecond) }];
}
