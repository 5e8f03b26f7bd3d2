/**
 * Which control groups a job gets, which files are set to which values, and what the counters mean.
 *
 * Knows cgroupfs, touches nothing: the launcher and the one-shot scripts (lib/shim/) do the writing
 * and reading. Sources: the kernel's Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */
import { JobError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import { v1Controllers } from "./cgroup_v1.ts";
import { v2Controllers } from "./cgroup_v2.ts";

/** The controllers that a job's limits and counters come from. */
export const CONTROLLERS = ["cpu", "cpuacct", "memory", "io", "pids"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** A kernel file and what goes into it. An optional one is left out where the kernel lacks it. */
export interface Setting {
  file: string;
  value: string;
  optional?: boolean;
}

/** What a controller of one cgroup version does for a job: file names are relative to the group. */
export interface ControllerFiles {
  /** Files and values that hold the limits. */
  settings(limits: Limits): Setting[];
  /** The same, made once for each disk: the disk's MAJ:MIN number goes before the value. */
  diskSettings?(limits: Limits): Setting[];
  /** Files that count what a job uses, by the names that {@linkcode parseUsage} knows. */
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

/** What a job has used. An absent field is not counted on this host. */
export interface Usage {
  memoryBytes?: number;
  memoryPeakBytes?: number;
  cpuUsec?: number;
  cpuThrottledUsec?: number;
  readBytes?: number;
  writtenBytes?: number;
  processes?: number;
}

/** Where a job's processes are. Kept with the job's record, so that any later server finds them. */
export interface Placement {
  /** The job's groups, absolute: one for each hierarchy. */
  groups: string[];
  /** The group that signals are sent through and that tells whether a process is left. */
  tracker: string;
  /** The file of the tracker that tells whether a process is left. */
  census: string;
  counters: { name: CounterName; file: string }[];
}

/** All that the launcher is told about a job's control groups. */
export interface Plan extends Placement {
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

/** Job ids are the only part of a group's path that is not configuration. */
const JOB_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text has the form of a job id; nothing else ever becomes part of a path. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}

/**
 * Plans a job's groups.
 *
 * @throws {JobError} "precondition" when this host cannot hold one of the limits: a limit is never
 * dropped in silence.
 */
export function planGroups(host: CgroupHost, jobId: string, limits: Limits): Plan {
  if (!isJobId(jobId)) throw new Error(`not a job id: ${JSON.stringify(jobId)}`);
  requireControllers(host, limits);
  const tracking = trackingHierarchy(host);
  const tracker = groupPath(host, tracking, jobId);
  const plan: Plan = {
    groups: [],
    tracker,
    census: `${tracker}/${tracking.version === 2 ? "cgroup.events" : "cgroup.procs"}`,
    counters: [],
    settings: [],
    diskSettings: [],
  };
  for (const hierarchy of host.hierarchies) {
    const group = groupPath(host, hierarchy, jobId);
    plan.groups.push(group);
    for (const controller of hierarchy.controllers) {
      const files = filesOf(hierarchy, controller);
      plan.settings.push(...inGroup(group, files.settings(limits)));
      plan.diskSettings.push(...inGroup(group, files.diskSettings?.(limits) ?? []));
      plan.counters.push(...files.counters.map((name) => ({ name, file: `${group}/${name}` })));
    }
  }
  return plan;
}

/** The groups that all jobs' groups are made in, absolute. */
export function parentGroups(host: CgroupHost): string[] {
  return host.hierarchies.map((hierarchy) => `${hierarchy.folder}/${host.parent}`);
}

/**
 * The group of all launchers, absolute. They leave the server's group for it, so that whatever
 * ends the server's group (systemd, the end of a login session) does not end them.
 */
export function launchersGroup(host: CgroupHost): string {
  return `${trackingHierarchy(host).folder}/${host.parent}/launchers`;
}

/** Whether the host can hold a limit of this controller. */
export function hasController(host: CgroupHost, controller: Controller): boolean {
  return host.hierarchies.some((hierarchy) => hierarchy.controllers.includes(controller));
}

/**
 * Reads counters. Unknown lines are passed over, since each kernel adds some.
 *
 * @param counters The counter files' texts by name.
 */
export function parseUsage(counters: ReadonlyMap<CounterName, string>): Usage {
  const usage: Usage = {};
  for (const [name, text] of counters) Object.assign(usage, parseCounter(name, text));
  return usage;
}

/** How many of the job's processes the kernel killed for want of memory. Never guessed from 137. */
export function parseOomKills(counters: ReadonlyMap<CounterName, string>): number {
  const text = counters.get("memory.events") ?? counters.get("memory.oom_control") ?? "";
  return keyedNumber(text, "oom_kill") ?? 0;
}

function parseCounter(name: CounterName, text: string): Usage {
  switch (name) {
    case "cpu.stat":
      return parseCpuStat(text);
    case "cpuacct.usage": // nanoseconds
      return number("cpuUsec", text, 1e-3);
    case "memory.current":
    case "memory.usage_in_bytes":
      return number("memoryBytes", text);
    case "memory.peak":
    case "memory.max_usage_in_bytes":
      return number("memoryPeakBytes", text);
    case "pids.current":
      return number("processes", text);
    case "io.stat":
      return {
        readBytes: sum(text, /\brbytes=(\d+)/g),
        writtenBytes: sum(text, /\bwbytes=(\d+)/g),
      };
    case "blkio.throttle.io_service_bytes_recursive":
      return { readBytes: sum(text, /\bRead (\d+)/g), writtenBytes: sum(text, /\bWrite (\d+)/g) };
    default:
      return {};
  }
}

/** cpu.stat counts in microseconds on v2 and throttling in nanoseconds (throttled_time) on v1. */
function parseCpuStat(text: string): Usage {
  const used = keyedNumber(text, "usage_usec");
  const throttledNsec = keyedNumber(text, "throttled_time");
  const throttled = keyedNumber(text, "throttled_usec") ??
    (throttledNsec === undefined ? undefined : Math.floor(throttledNsec / 1000));
  return {
    ...(used === undefined ? {} : { cpuUsec: used }),
    ...(throttled === undefined ? {} : { cpuThrottledUsec: throttled }),
  };
}

function number(field: keyof Usage, text: string, factor = 1): Usage {
  return /^\d+\s*$/.test(text) ? { [field]: Math.floor(Number(text) * factor) } : {};
}

function keyedNumber(text: string, key: string): number | undefined {
  const digits = new RegExp(`^${key} (\\d+)$`, "m").exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function sum(text: string, pattern: RegExp): number {
  let total = 0;
  for (const match of text.matchAll(pattern)) total += Number(match[1]);
  return total;
}

function requireControllers(host: CgroupHost, limits: Limits): void {
  const wanted: [Controller, boolean, string][] = [
    ["cpu", limits.cpuCores !== undefined, "a CPU limit"],
    ["memory", limits.memoryBytes !== undefined, "a memory limit"],
    [
      "io",
      (limits.readBytesPerSecond ?? limits.writeBytesPerSecond) !== undefined,
      "a disk I/O limit",
    ],
    ["pids", limits.processes !== undefined, "a process limit"],
  ];
  for (const [controller, asked, name] of wanted) {
    if (!asked || hasController(host, controller)) continue;
    throw new JobError(
      "precondition",
      `Cannot start the job: this host cannot hold ${name} (the ${controller} controller is not ` +
        `available to the worker); enable it, or set that limit to "max"`,
    );
  }
}

/** The one that kills and knows when a job is empty: the unified tree, else the freezer, else any. */
function trackingHierarchy(host: CgroupHost): Hierarchy {
  const tracker = host.hierarchies.find(({ version }) => version === 2) ??
    host.hierarchies.find(({ controllers }) => controllers.length === 0) ?? host.hierarchies[0];
  if (tracker === undefined) throw new Error("this host has no control groups");
  return tracker;
}

function groupPath(host: CgroupHost, hierarchy: Hierarchy, jobId: string): string {
  return `${hierarchy.folder}/${host.parent}/${jobId}`;
}

function filesOf(hierarchy: Hierarchy, controller: Controller): ControllerFiles {
  return (hierarchy.version === 2 ? v2Controllers : v1Controllers)[controller];
}

function inGroup(group: string, settings: Setting[]): Setting[] {
  return settings.map((setting) => ({ ...setting, file: `${group}/${setting.file}` }));
}
