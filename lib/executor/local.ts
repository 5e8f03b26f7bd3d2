/** Runs jobs on this host: control groups, a launcher for each job, and one-shot scripts. */
import { join } from "node:path";
import { AdoptedJobs, whenOrphanEnds } from "./adoption.ts";
import { launchersGroup, parentGroups, planGroups } from "../cgroup.ts";
import { parseUsage } from "../cgroup/counters.ts";
import {
  type CgroupHost,
  type Controller,
  type Placement,
  type Setting,
  type Usage,
} from "../cgroup/types.ts";
import { type HostReport, parseHostReport, toCgroupHost, v2ControllersOf } from "../cgroup/host.ts";
import { readCounters, removeEmptyGroups, removeGroups } from "./group_files.ts";
import { JobError, messageOf } from "../errors.ts";
import type { Adoption, AdoptionRequest, Executor, LaunchRequest, Running } from "../executor.ts";
import type { Ending } from "../model/ending.ts";
import { endingOf, INPUT_FILE } from "./launch_record.ts";
import { DEFAULT_SETTINGS, type SignalName } from "../model/settings.ts";
import { type Launched, Launchers } from "./launchers.ts";
import { parseLaunchReport } from "./launch_report.ts";
import type { Limits } from "../limits.ts";
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH, runScript } from "../shim/shell.ts";

/** The launcher's unit of a grace period. */
const GRACE_UNIT_MS = 50;

/** Runs jobs on this host. */
export class LocalExecutor implements Executor {
  readonly #host: CgroupHost;
  readonly #adopted: AdoptedJobs;
  readonly #launchers: Launchers;
  /** Open descriptors that the server was started with, and that jobs inherit. */
  readonly inheritedDescriptors: readonly number[];

  private constructor(host: CgroupHost, report: HostReport) {
    this.#host = host;
    this.inheritedDescriptors = report.inheritedDescriptors;
    this.#adopted = new AdoptedJobs(report.bootId);
    this.#launchers = new Launchers(launchersGroup(host), JOB_ENVIRONMENT, maxLaunching(host));
  }

  /**
   * Looks at the host and makes the groups that all jobs' groups are made in.
   *
   * @param parent The group under which jobs' groups are made, relative to each hierarchy.
   * @throws {Error} When the host has no control groups, or lacks a program that launching needs.
   */
  static async open(parent: string): Promise<LocalExecutor> {
    const report = parseHostReport(await runScript(scripts.probe));
    if (report.missingPrograms.length > 0) {
      throw new Error(`programs are missing on this host: ${report.missingPrograms.join(", ")}`);
    }
    const host = toCgroupHost(report, parent);
    if (host === undefined) {
      throw new Error("no control groups are mounted below /sys/fs/cgroup on this host");
    }
    return new LocalExecutor(await prepareHost(host), report);
  }

  /** The kind of this host, and what can be limited and counted on it. */
  get host(): { kind: CgroupHost["kind"]; controllers: Controller[] } {
    const { kind, hierarchies } = this.#host;
    return { kind, controllers: hierarchies.flatMap(({ controllers }) => controllers) };
  }

  place(jobId: string, limits: Limits): Placement {
    const { groups, tracker, populatedFile, counters } = planGroups(this.#host, jobId, limits);
    return { groups, tracker, populatedFile, counters };
  }

  async launch(request: LaunchRequest): Promise<Running> {
    const { jobId, limits, command, folder } = request;
    const plan = planGroups(this.#host, jobId, limits);
    let launched: Launched;
    try {
      await this.#makeGroups(plan.groups);
      launched = await this.#launchers.launch({
        words: [
          folder,
          request.output,
          lines(plan.groups),
          lines(plan.settings.map(settingLine)),
          lines(plan.diskSettings.map(settingLine)),
          lines(plan.counters.map(({ name, file }) => `${name} ${file}`)),
          plan.populatedFile,
          String(Math.ceil(request.graceMs / GRACE_UNIT_MS)),
        ],
        command: [command.name, ...command.args],
        environment: { JOB_ID: jobId },
        secrets: await entryEnvironment(request),
      });
    } catch (error) {
      await removeGroups(plan.groups);
      throw launchError(error);
    }
    const report = parseLaunchReport(launched.report, command.name);
    if (report.kind === "refused") {
      await launched.done;
      await removeGroups(plan.groups);
      throw report.error;
    }
    return { pid: report.pid, ended: this.#ending(request, launched.done) };
  }

  adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    return this.#adopted.adopt(requests);
  }

  async terminate(
    { placement, folder }: { placement: Placement; folder: string },
    signal: SignalName,
  ): Promise<void> {
    await markStopping(folder);
    await this.signal({ placement }, signal);
  }

  async signal({ placement }: { placement: Placement }, signal: SignalName): Promise<void> {
    await runScript(scripts.signal, [signal, placement.tracker]);
  }

  async kill({ placement, folder }: { placement: Placement; folder: string }): Promise<void> {
    await markStopping(folder);
    await this.signal({ placement }, "KILL");
  }

  async usages(placements: readonly Placement[]): Promise<Usage[]> {
    return (await readCounters(placements)).map(parseUsage);
  }

  /** Stops watching adopted jobs and removes the parent groups that are empty. Jobs go on. */
  async close(): Promise<void> {
    this.#adopted.close();
    await this.#launchers.close();
    await removeEmptyGroups([launchersGroup(this.#host), ...parentGroups(this.#host)]);
  }

  async #makeGroups(groups: readonly string[]): Promise<void> {
    try {
      for (const group of groups) await Deno.mkdir(group);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      // Another server with the same parent group has ended, and removed it when it was empty.
      await prepareHost(this.#host);
      for (const group of groups) await Deno.mkdir(group, { recursive: true });
    }
  }

  async #ending(request: LaunchRequest, launched: Promise<unknown>): Promise<Ending> {
    await launched;
    const ending = endingOf(request.folder);
    if (ending !== undefined) {
      await removeGroups(request.placement.groups);
      return ending;
    }
    log.warn("the launcher of a job is gone", { job: request.jobId });
    return await whenOrphanEnds(request);
  }
}

/** The environment of jobs: fixed, whatever the server's is. */
const JOB_ENVIRONMENT = {
  PATH: PROGRAM_PATH,
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  LANG: "C.UTF-8",
};

/**
 * What a job needs that is not run plainly; most are, and cost nothing more. The environment of the
 * launcher is its way: unlike arguments it is shown to nobody, and unlike files it leaves nothing.
 */
async function entryEnvironment(
  { settings, secrets, folder }: LaunchRequest,
): Promise<Record<string, string>> {
  const { user, workingDirectory, umask, isolation } = settings;
  const { environment, input } = secrets;
  const namespaces = [
    ...(isolation.privateTmp ? ["tmp"] : []),
    ...(isolation.noNetwork ? ["network"] : []),
    ...(isolation.ownProcesses ? ["processes"] : []),
  ];
  const isPlain = user === DEFAULT_SETTINGS.user && umask === DEFAULT_SETTINGS.umask &&
    workingDirectory === DEFAULT_SETTINGS.workingDirectory && namespaces.length === 0 &&
    Object.keys(environment).length === 0 && input.length === 0;
  if (isPlain) return {};
  if (input.length > 0) {
    await Deno.writeFile(join(folder, INPUT_FILE), input, { createNew: true, mode: 0o600 });
  }
  const variables = Object.entries(environment);
  return {
    ...Object.fromEntries(variables.map(([name, value]) => [`job_worker_env_${name}`, value])),
    job_worker_enter: scripts.enter,
    job_worker_names: lines(variables.map(([name]) => name)),
    job_worker_isolation: namespaces.join(" "),
    job_worker_user: user === DEFAULT_SETTINGS.user ? "" : user,
    job_worker_folder: workingDirectory,
    job_worker_umask: umask.toString(8).padStart(3, "0"),
    job_worker_input: input.length > 0 ? "yes" : "",
  };
}

/** On cgroup v2 the controllers are handed down level by level; only what arrives can be used. */
async function prepareHost(host: CgroupHost): Promise<CgroupHost> {
  for (const group of [...parentGroups(host), launchersGroup(host)]) await makeParentGroup(group);
  const hierarchies = await Promise.all(host.hierarchies.map(async (hierarchy) => {
    const wanted = hierarchy.controllers.filter((controller) => controller !== "cpuacct");
    if (hierarchy.version === 1 || wanted.length === 0) return hierarchy;
    const levels = host.parent.split("/").map((_, index, names) =>
      join(hierarchy.folder, ...names.slice(0, index + 1))
    );
    const enabled = await runScript(scripts.enable, [
      wanted.join(" "),
      hierarchy.folder,
      ...levels,
    ]);
    const controllers = v2ControllersOf(enabled.trim().split(" "))
      .filter((controller) => hierarchy.controllers.includes(controller));
    return { ...hierarchy, controllers };
  }));
  return { ...host, hierarchies };
}

/**
 * Launches under way at once. Where a job has groups in many hierarchies (cgroup v1), a few keep the
 * processors busy, and with more of them each would only take longer. With one hierarchy (cgroup v2)
 * most of a launch is waiting until the kernel lets the process into its group.
 */
function maxLaunching({ hierarchies }: CgroupHost): number {
  return (hierarchies.length === 1 ? 16 : 3) * navigator.hardwareConcurrency;
}

async function makeParentGroup(group: string): Promise<void> {
  try {
    await Deno.mkdir(group, { recursive: true });
  } catch (error) {
    throw new Error(
      `cannot make the control group ${group}: ${messageOf(error)}; run as root, and where ` +
        "control groups may be written",
      { cause: error },
    );
  }
}

/** Tells the launcher that the server times the grace period and does the killing. */
async function markStopping(folder: string): Promise<void> {
  try {
    await Deno.writeTextFile(join(folder, "stopping"), "");
  } catch (error) {
    // The disk may be full. The launcher then keeps its own, shorter time for what remains.
    log.warn("cannot mark a job as stopping", { error: messageOf(error) });
  }
}

function launchError(error: unknown): unknown {
  if (error instanceof JobError) return error;
  const { code } = error as { code?: unknown };
  if (code === "E2BIG" || /\(os error 7\)/.test(messageOf(error))) {
    return new JobError("invalid", "Cannot start the job: its arguments are too long for Linux");
  }
  if (code === "EAGAIN" || code === "ENOMEM" || /\(os error (?:11|12)\)/.test(messageOf(error))) {
    return new JobError("exhausted", "Cannot start the job: the host has no room for a process");
  }
  return error;
}

function settingLine({ file, value, optional }: Setting): string {
  return `${optional === true ? "?" : ""}${file} ${value}`;
}

function lines(entries: readonly string[]): string {
  return entries.join("\n");
}
