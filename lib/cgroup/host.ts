/** Parses what lib/shim/probe.sh prints about the host. */
import { type CgroupHost, type Controller, CONTROLLERS, type Hierarchy } from "./types.ts";

/** The only folder below which the server may make groups (its compiled write permission). */
const CGROUP_ROOT = "/sys/fs/cgroup";

/** What the probe found. */
export interface HostReport {
  /** Changes with every boot of the host. */
  bootId: string;
  hierarchies: Hierarchy[];
  /** Programs that the launcher needs and the host lacks. */
  missingPrograms: string[];
  /** Descriptors that the server has inherited, and jobs inherit too, since a shell cannot close them. */
  inheritedDescriptors: number[];
  /** A list of all processors, where the server was started with fewer than its cpuset allows. */
  processors?: string;
}

/** Parses the probe's lines. Mounts outside /sys/fs/cgroup and unknown lines are ignored. */
export function parseHostReport(text: string): HostReport {
  const report: HostReport = {
    bootId: "",
    hierarchies: [],
    missingPrograms: [],
    inheritedDescriptors: [],
  };
  const v2Controllers = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [what, ...words] = line.split(" ");
    if (what === "boot") report.bootId = words[0] ?? "";
    else if (what === "missing") report.missingPrograms.push(words.join(" "));
    else if (what === "descriptor") report.inheritedDescriptors.push(Number(words[0]));
    else if (what === "processors") report.processors = words[0] ?? "";
    else if (what === "controllers") v2Controllers.set(words[0] ?? "", words.slice(1));
    else if (what === "mount") addMount(report.hierarchies, words);
  }
  for (const hierarchy of report.hierarchies) {
    if (hierarchy.version === 2) {
      hierarchy.controllers = v2ControllersOf(v2Controllers.get(hierarchy.folder) ?? []);
    }
  }
  return report;
}

/**
 * Selects the hierarchies to use, each controller in one of them: a controller that is mounted as v1 is
 * not in the v2 tree. The freezer is used only where there is no v2 tree, which has cgroup.kill.
 *
 * @param parent The group under which jobs' groups are made, relative to each hierarchy.
 * @returns undefined when the host has no control groups that the server can use.
 */
export function toCgroupHost(report: HostReport, parent: string): CgroupHost | undefined {
  const unified = report.hierarchies.find((hierarchy) => hierarchy.version === 2);
  const taken = new Set<Controller>();
  const hierarchies: Hierarchy[] = [];
  for (const hierarchy of report.hierarchies.filter(({ version }) => version === 1)) {
    const controllers = hierarchy.controllers.filter((controller) => !taken.has(controller));
    if (controllers.length === 0 && (unified !== undefined || !isFreezer(hierarchy))) continue;
    controllers.forEach((controller) => taken.add(controller));
    hierarchies.push({ ...hierarchy, controllers });
  }
  const kind = unified === undefined ? "v1" : hierarchies.length === 0 ? "v2" : "hybrid";
  if (unified !== undefined) {
    const controllers = unified.controllers.filter((controller) => !taken.has(controller));
    hierarchies.push({ ...unified, controllers });
  }
  return hierarchies.length === 0 ? undefined : { kind, hierarchies, parent };
}

/** The controllers that a cgroup v2 list names, and cpuacct: every v2 group counts CPU time. */
export function v2ControllersOf(names: readonly string[]): Controller[] {
  return CONTROLLERS.filter((controller) => controller === "cpuacct" || names.includes(controller));
}

function addMount(hierarchies: Hierarchy[], words: readonly string[]): void {
  const [type, folder = "", options = ""] = words;
  if (folder !== CGROUP_ROOT && !folder.startsWith(`${CGROUP_ROOT}/`)) return;
  if (hierarchies.some((hierarchy) => hierarchy.folder === folder)) return;
  if (type === "cgroup2") {
    hierarchies.push({ version: 2, folder, controllers: [] });
    return;
  }
  const names = options.split(",").map((name) => (name === "blkio" ? "io" : name));
  const controllers = CONTROLLERS.filter((controller) => names.includes(controller));
  if (controllers.length > 0 || names.includes("freezer")) {
    hierarchies.push({ version: 1, folder, controllers });
  }
}

function isFreezer(hierarchy: Hierarchy): boolean {
  return hierarchy.controllers.length === 0;
}
