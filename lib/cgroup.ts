/**
 * Which control groups a job gets, and which of their files are set to which values.
 *
 * Pure: the launcher and the one-shot scripts (lib/shim/) do the writing and reading. Sources: the kernel's Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */
import { RATE_NAMES } from "../common/limits.ts";
import { isJobId } from "../common/job_id.ts";
import type {
  CgroupHost,
  Controller,
  ControllerFiles,
  Hierarchy,
  Plan,
  Setting,
} from "./cgroup/types.ts";
import { v1Controllers } from "./cgroup/v1.ts";
import { v2Controllers } from "./cgroup/v2.ts";
import { JobError } from "./errors.ts";
import type { Limits } from "./limits.ts";

/**
 * Plans a job's groups.
 *
 * @throws {JobError} "precondition" when this host cannot hold one of the limits: a limit is never
 * dropped silently.
 */
export function planGroups(host: CgroupHost, jobId: string, limits: Limits): Plan {
  if (!isJobId(jobId)) throw new Error(`not a job id: ${JSON.stringify(jobId)}`);
  requireControllers(host, limits, "start");
  const tracking = trackingHierarchy(host);
  const tracker = groupPath(host, tracking, jobId);
  const groups: string[] = [];
  const entered: string[] = [];
  const counters: Plan["counters"][number][] = [];
  const plan: Plan = {
    groups,
    entered,
    tracker,
    populatedFile: `${tracker}/${tracking.version === 2 ? "cgroup.events" : "cgroup.procs"}`,
    counters,
    settings: [],
    diskSettings: [],
  };
  for (const hierarchy of host.hierarchies) {
    const group = groupPath(host, hierarchy, jobId);
    groups.push(group);
    if (!isLater(hierarchy) || limits.allowedCpus !== undefined) entered.push(group);
    for (const controller of hierarchy.controllers) {
      const files = filesOf(hierarchy, controller);
      plan.settings.push(...inGroup(group, files.settings(limits)));
      plan.diskSettings.push(...inGroup(group, files.diskSettings?.(limits) ?? []));
      counters.push(...files.counters.map((name) => ({ name, file: `${group}/${name}` })));
    }
  }
  return plan;
}

/** What is written to the groups of a job that runs. */
export interface LimitChanges {
  readonly settings: readonly Setting[];
  /** Made once for each disk. */
  readonly diskSettings: readonly Setting[];
  /** A group that the job's processes have to be in, and one with all of them. */
  readonly move?: { readonly to: string; readonly from: string };
}

/**
 * Plans a change of the limits of a job that runs.
 *
 * @param groups The job's own: it may have been started under another parent group.
 * @param limits What it is to have.
 * @param names Which of its limits are written; one that is not in `limits` is taken away.
 * @throws {JobError} "precondition" when this host cannot hold one of the limits.
 */
export function planChanges(
  host: CgroupHost,
  groups: readonly string[],
  { limits, names }: { readonly limits: Limits; readonly names: ReadonlySet<keyof Limits> },
): LimitChanges {
  requireControllers(host, limits, "update");
  const settings: Setting[] = [];
  const diskSettings: Setting[] = [];
  const groupIn = ({ folder }: Hierarchy) => groups.find((path) => path.startsWith(`${folder}/`));
  let move: LimitChanges["move"];
  for (const hierarchy of host.hierarchies) {
    const group = groupIn(hierarchy);
    if (isLater(hierarchy) && names.has("allowedCpus") && limits.allowedCpus !== undefined) {
      const from = groupIn(trackingHierarchy(host));
      if (group === undefined || from === undefined) throw startedEarlier();
      move = { to: group, from };
    }
    if (group === undefined) continue;
    for (const controller of hierarchy.controllers) {
      const files = filesOf(hierarchy, controller);
      settings.push(...inGroup(group, files.changes(limits, names)));
      diskSettings.push(...inGroup(group, files.diskChanges?.(limits, names) ?? []));
    }
  }
  return { settings, diskSettings, ...(move === undefined ? {} : { move }) };
}

/**
 * Whether a job has a group there only from the time on when its CPUs are chosen: on cgroup v1 such a group
 * serves nothing else, and would cost each start.
 */
function isLater({ version, controllers }: Hierarchy): boolean {
  return version === 1 && controllers.length === 1 && controllers[0] === "cpuset";
}

function startedEarlier(): JobError {
  return new JobError(
    "precondition",
    "Cannot update the job: an earlier version of the server has started it, and its CPUs cannot be " +
      "chosen any more; start it again",
  );
}

/** The groups that all jobs' groups are made in, absolute. */
export function parentGroups(host: CgroupHost): string[] {
  return host.hierarchies.map((hierarchy) => `${hierarchy.folder}/${host.parent}`);
}

/**
 * The weights of the groups that all jobs' groups are made in: jobs that take all the time of processors
 * and disks leave the server enough to stop them. Launchers have more than any job beside them.
 */
export function parentWeights(host: CgroupHost): Setting[] {
  const settings = host.hierarchies.flatMap((hierarchy) =>
    hierarchy.controllers.flatMap((controller) =>
      inGroup(
        `${hierarchy.folder}/${host.parent}`,
        filesOf(hierarchy, controller).lowWeight ?? [],
      )
    )
  );
  return [...settings, { file: `${launchersGroup(host)}/cpu.weight`, value: "10000" }];
}

/**
 * The group of all launchers, absolute. They are not in the server's group, so that they survive when
 * all processes of that group are killed (by systemd, or at the end of a login session).
 */
export function launchersGroup(host: CgroupHost): string {
  return `${trackingHierarchy(host).folder}/${host.parent}/launchers`;
}

/** Whether the host can hold a limit of this controller. */
export function hasController(host: CgroupHost, controller: Controller): boolean {
  return host.hierarchies.some((hierarchy) => hierarchy.controllers.includes(controller));
}

/** Whether the host can take memory back above a bound without killing. */
export function hasMemoryHigh(host: CgroupHost): boolean {
  return host.hierarchies.some(({ version, controllers }) =>
    version === 2 && controllers.includes("memory")
  );
}

/** Said where it cannot. */
export const NO_MEMORY_HIGH =
  "this host cannot hold a high memory limit: it takes the memory controller of cgroup v2";

function requireControllers(host: CgroupHost, limits: Limits, verb: "start" | "update"): void {
  const wanted: [Controller, boolean, string][] = [
    ["cpu", limits.cpuCores !== undefined, "a CPU limit"],
    ["memory", limits.memoryBytes !== undefined, "a memory limit"],
    [
      "io",
      limits.disks !== undefined || RATE_NAMES.some((name) => limits[name] !== undefined),
      "a disk I/O limit",
    ],
    ["pids", limits.processes !== undefined, "a process limit"],
    ["cpuset", limits.allowedCpus !== undefined, "a choice of CPUs"],
  ];
  if (limits.memoryHighBytes !== undefined && !hasMemoryHigh(host)) {
    throw new JobError("precondition", `Cannot ${verb} the job: ${NO_MEMORY_HIGH}`);
  }
  for (const [controller, asked, name] of wanted) {
    if (!asked || hasController(host, controller)) continue;
    throw new JobError(
      "precondition",
      `Cannot ${verb} the job: this host cannot hold ${name} (the ${controller} controller is not ` +
        `available to the worker); enable it, or set that limit to "max"`,
    );
  }
}

/** The hierarchy used to signal a job and to see whether it is empty: v2, else the freezer, else any. */
function trackingHierarchy(host: CgroupHost): Hierarchy {
  const tracker = host.hierarchies.find(({ version }) => version === 2) ??
    host.hierarchies.find(({ controllers }) => controllers.length === 0) ??
    host.hierarchies.find((hierarchy) => !isLater(hierarchy));
  if (tracker === undefined) throw new Error("this host has no control groups");
  return tracker;
}

function groupPath(host: CgroupHost, hierarchy: Hierarchy, jobId: string): string {
  return `${hierarchy.folder}/${host.parent}/${jobId}`;
}

function filesOf(hierarchy: Hierarchy, controller: Controller): ControllerFiles {
  return (hierarchy.version === 2 ? v2Controllers : v1Controllers)[controller];
}

function inGroup(group: string, settings: readonly Setting[]): Setting[] {
  return settings.map((setting) => ({ ...setting, file: `${group}/${setting.file}` }));
}
