/** Types for control groups: controllers, files, values, placements. */
import type { Limits } from "../limits.ts";

/** The controllers that a job's limits and counters come from. */
export const CONTROLLERS = ["cpu", "cpuacct", "memory", "io", "pids", "cpuset"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** A kernel file and the value that is written to it; optional: skipped where the kernel lacks the file. */
export interface Setting {
  file: string;
  value: string;
  optional?: boolean;
}

/** What a controller of one cgroup version does for a job: file names are relative to the group. */
export interface ControllerFiles {
  /** Files and values that set the limits; those of named disks begin with the disk's number. */
  settings(limits: Limits): Setting[];
  /** The same, written once for each disk, with the disk's MAJ:MIN number before the value. */
  diskSettings?(limits: Limits): Setting[];
  /** What sets the limits of a job that runs, in this order: also the files of limits that it has not. */
  changes(limits: Limits, names: ReadonlySet<keyof Limits>): Setting[];
  /** The same, written once for each disk. */
  diskChanges?(limits: Limits, names: ReadonlySet<keyof Limits>): Setting[];
  /** What makes all jobs together weigh less than one busy program beside them, as the server is. */
  lowWeight?: readonly Setting[];
  /** Files that count what a job uses. */
  counters: readonly CounterName[];
}

/** Counter files, named as the kernel names them. */
export type CounterName =
  | "cpu.stat"
  | "cpuacct.usage"
  | "memory.current"
  | "memory.usage_in_bytes"
  | "memory.peak"
  | "memory.max_usage_in_bytes"
  | "memory.events"
  | "memory.oom_control"
  | "io.stat"
  | "blkio.throttle.io_service_bytes_recursive"
  | "pids.current";

/** What a job uses or has used. A field is absent where this host does not count it. */
export interface Usage {
  memoryBytes?: number;
  memoryPeakBytes?: number;
  cpuUsec?: number;
  cpuThrottledUsec?: number;
  readBytes?: number;
  writtenBytes?: number;
  processes?: number;
  /** When it was counted, where that was not just now: milliseconds since 1970-01-01 UTC. */
  asOfMs?: number;
}

/** Where a job's processes are. Stored with the job's record, so that any later server finds them. */
export interface Placement {
  /** The job's groups, absolute: one for each hierarchy. */
  readonly groups: readonly string[];
  /** The group whose processes are signalled. */
  readonly tracker: string;
  /** The file of the tracker that tells whether a process is left. */
  readonly populatedFile: string;
  readonly counters: readonly { readonly name: CounterName; readonly file: string }[];
  /** The host's boot, which ends with all its groups; unknown of jobs of earlier servers. */
  readonly bootId?: string;
}

/** A job's control groups, and what the launcher writes to them. */
export interface Plan extends Placement {
  /** Those of the groups that it is in from its start on; the others are made when they are needed. */
  readonly entered: readonly string[];
  settings: Setting[];
  diskSettings: Setting[];
}

/** A hierarchy that is mounted on this host. */
export interface Hierarchy {
  version: 1 | 2;
  folder: string;
  controllers: readonly Controller[];
}

/** The control groups of this host. */
export interface CgroupHost {
  kind: "v1" | "hybrid" | "v2";
  hierarchies: readonly Hierarchy[];
  /** The group under which all jobs' groups are made, relative to each hierarchy's folder. */
  parent: string;
}

/** The period in which a quota is counted, in microseconds: the kernel's default. */
export const CPU_PERIOD_USEC = 100_000;
