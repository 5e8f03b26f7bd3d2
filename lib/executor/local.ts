/** Runs jobs on this host: control groups, a launcher for each job, and one-shot scripts. */
import { launchersGroup, parentGroups, planGroups } from "../cgroup.ts";
import { parseUsage } from "../cgroup/counters.ts";
import { type HostReport, parseHostReport, toCgroupHost } from "../cgroup/host.ts";
import type { CgroupHost, Controller, Placement, Setting, Usage } from "../cgroup/types.ts";
import type { Adoption, AdoptionRequest, Executor, LaunchRequest, Running } from "../executor.ts";
import type { Limits } from "../limits.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import type { SignalName } from "../../common/signals.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";
import { AdoptedJobs } from "./adoption.ts";
import { discardGroups, readCounters, removeEmptyGroups, removeGroups } from "./group_files.ts";
import { entryEnvironment, JOB_ENVIRONMENT } from "./job_environment.ts";
import { markStopping, readLaunchRecord } from "./job_files.ts";
import { parseLaunchReport, toLaunchError } from "./launch_report.ts";
import { type Launched, Launchers } from "./launchers.ts";
import { whenOrphanEnds } from "./orphans.ts";
import { prepareHost } from "./prepare_host.ts";

/** The unit in which the launcher is told the grace period. */
const GRACE_UNIT_MS = 50;

/** Runs jobs on this host. */
export class LocalExecutor implements Executor {
  readonly #host: CgroupHost;
  readonly #bootId: string;
  readonly #adopted: AdoptedJobs;
  readonly #launchers: Launchers;
  /** Open descriptors that the server has inherited, and that jobs inherit too. */
  readonly inheritedDescriptors: readonly number[];

  private constructor(host: CgroupHost, report: HostReport, maxDescriptors: number | undefined) {
    this.#host = host;
    this.#bootId = report.bootId;
    this.inheritedDescriptors = report.inheritedDescriptors;
    this.#adopted = new AdoptedJobs(report.bootId);
    this.#launchers = new Launchers({
      group: launchersGroup(host),
      environment: JOB_ENVIRONMENT,
      maxLaunching: maxLaunching(host),
      script: launcherScript(maxDescriptors),
    });
  }

  /**
   * Examines the host and makes the groups that all jobs' groups are made in.
   *
   * @param parent The group under which jobs' groups are made, relative to each hierarchy.
   * @param maxDescriptors The soft limit of open files that jobs have; the server's own unless given.
   * @throws {Error} When the host has no control groups, or lacks a program that launching needs.
   */
  static async open(parent: string, maxDescriptors?: number): Promise<LocalExecutor> {
    const report = parseHostReport(await runScript(scripts.probe));
    if (report.missingPrograms.length > 0) {
      throw new Error(`programs are missing on this host: ${report.missingPrograms.join(", ")}`);
    }
    const host = toCgroupHost(report, parent);
    if (host === undefined) {
      throw new Error("no control groups are mounted below /sys/fs/cgroup on this host");
    }
    return new LocalExecutor(await prepareHost(host), report, maxDescriptors);
  }

  /** The kind of this host, and what can be limited and counted on it. */
  get host(): { kind: CgroupHost["kind"]; controllers: Controller[] } {
    const { kind, hierarchies } = this.#host;
    return { kind, controllers: hierarchies.flatMap(({ controllers }) => controllers) };
  }

  place(jobId: string, limits: Limits): Placement {
    const { groups, tracker, populatedFile, counters } = planGroups(this.#host, jobId, limits);
    return { groups, tracker, populatedFile, counters, bootId: this.#bootId };
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
      throw toLaunchError(error);
    }
    const report = parseLaunchReport(launched.report, command.name);
    if (report.kind === "refused") {
      await launched.done;
      await discardGroups(plan.groups);
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
    const ending = readLaunchRecord(request.folder)?.ending;
    if (ending !== undefined) {
      await removeGroups(request.placement.groups);
      return ending;
    }
    log.warn("the launcher of a job was killed", { job: request.jobId });
    return await whenOrphanEnds(request);
  }
}

/**
 * How many launches may be under way at once. With many hierarchies (cgroup v1) a few launches keep
 * the processors busy, and more would only make each take longer. With one hierarchy (cgroup v2) a
 * launch mostly waits for the kernel to move the process into its group.
 */
function maxLaunching({ hierarchies }: CgroupHost): number {
  return (hierarchies.length === 1 ? 16 : 3) * navigator.hardwareConcurrency;
}

function settingLine({ file, value, optional }: Setting): string {
  return `${optional === true ? "?" : ""}${file} ${value}`;
}

function lines(entries: readonly string[]): string {
  return entries.join("\n");
}

/** Programs that go through all numbers of descriptors are slow, or fail, where there are many. */
function launcherScript(maxDescriptors: number | undefined): string {
  if (maxDescriptors === undefined || !Number.isFinite(maxDescriptors)) return scripts.launch;
  return `ulimit -Sn ${maxDescriptors}\n${scripts.launch}`;
}
