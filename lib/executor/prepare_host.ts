/** Makes the control groups that jobs' groups are made in. */
import { dirname, join } from "node:path";
import { launchersGroup, parentGroups, parentWeights } from "../cgroup.ts";
import { v2ControllersOf } from "../cgroup/host.ts";
import type { CgroupHost, Hierarchy } from "../cgroup/types.ts";
import { messageOf } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/**
 * Makes the parent groups, enables the controllers of cgroup v2 in them, and gives them their weights.
 *
 * @returns The host with the controllers that could be enabled, and the groups that were not there.
 * @throws {Error} When a group cannot be made.
 */
export async function prepareHost(
  host: CgroupHost,
): Promise<{ host: CgroupHost; made: readonly string[] }> {
  const made: string[] = [];
  for (const group of [...parentGroups(host), launchersGroup(host)]) {
    if (await makeParentGroup(group)) made.push(group);
  }
  const hierarchies = await Promise.all(
    host.hierarchies.map((hierarchy) => enableControllers(host, hierarchy)),
  );
  const weights = parentWeights({ ...host, hierarchies });
  await runScript(scripts.weigh, weights.flatMap(({ file, value }) => [file, value]));
  return { host: { ...host, hierarchies }, made };
}

/**
 * On cgroup v2 controllers are enabled level by level; each level offers only its parent's. On v1 only groups of
 * CPUs need something first.
 */
async function enableControllers(host: CgroupHost, hierarchy: Hierarchy): Promise<Hierarchy> {
  const wanted = hierarchy.controllers.filter((controller) => controller !== "cpuacct");
  const levels = host.parent.split("/").map((_, index, names) =>
    join(hierarchy.folder, ...names.slice(0, index + 1))
  );
  if (hierarchy.version === 1) {
    if (wanted.includes("cpuset")) await runScript(scripts.cpuset, levels);
    return hierarchy;
  }
  if (wanted.length === 0) return hierarchy;
  const enabled = await runScript(scripts.enable, [wanted.join(" "), hierarchy.folder, ...levels]);
  const controllers = v2ControllersOf(enabled.trim().split(" "))
    .filter((controller) => hierarchy.controllers.includes(controller));
  return { ...hierarchy, controllers };
}

/** @returns Whether it was not there. */
async function makeParentGroup(group: string): Promise<boolean> {
  try {
    await Deno.mkdir(dirname(group), { recursive: true });
    await Deno.mkdir(group);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw new Error(
      `cannot make the control group ${group}: ${messageOf(error)}; run as root, and where ` +
        "control groups may be written",
      { cause: error },
    );
  }
}
