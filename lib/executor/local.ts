/** Runs jobs on this host: control groups, a launcher for each job, and one-shot scripts. */
import { dirname } from "node:path";
import { SYSTEM_CLOCK } from "../../common/clock.ts";
import { isJobId } from "../../common/job_id.ts";
import {
  hasController,
  hasMemoryHigh,
  launchersGroup,
  NO_MEMORY_HIGH,
  parentGroups,
  planChanges,
  planGroups,
} from "../cgroup.ts";
import { parseUsage } from "../cgroup/counters.ts";
import { type HostReport, parseHostReport, toCgroupHost } from "../cgroup/host.ts";
import type { CgroupHost, Controller, Placement, Setting, Usage } from "../cgroup/types.ts";
import type {
  Adoption,
  AdoptionRequest,
  Capabilities,
  EngineStatus,
  Executor,
  FoundGroup,
  Handle,
  JobRef,
  LimitName,
  LimitSupport,
  LimitUpdate,
  ProcessState,
  SignalOptions,
  StopOrder,
  SubmitRequest,
  Tracked,
} from "../executor.ts";
import { JobError } from "../errors.ts";
import type { LimitPurpose, Limits } from "../limits.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import { requireNoCluster } from "../model/queue.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../model/settings.ts";
import type { SignalName } from "../../common/signals.ts";
import { scripts } from "../shim/scripts.ts";
import { quoteForShell, runScript } from "../shim/shell.ts";
import { accountOf, groupOf } from "./accounts.ts";
import { AdoptedJobs } from "./adoption.ts";
import { DiskLimits } from "./disk_limits.ts";
import { insistOnDiscarding, readCounters, removeEmptyGroups } from "./group_files.ts";
import { whenConfirmed } from "./confirmed_end.ts";
import { CounterReader } from "./counter_reader.ts";
import { CounterShell } from "./counter_shell.ts";
import { entryEnvironment, JOB_ENVIRONMENT } from "./job_environment.ts";
import { mainProcessOf, markStopping, readLaunchRecord } from "./job_files.ts";
import { RECORD_REFUSED_STATUS } from "./launcher.ts";
import { parseLaunchReport, toLaunchError, withRoomNamed } from "./launch_report.ts";
import { type Launched, Launchers } from "./launchers.ts";
import { updateLimits } from "./limit_update.ts";
import { LOST_BECAUSE, whenOrphanEnds } from "./orphans.ts";
import { isHosts, placementIn } from "./placement.ts";
import { prepareHost } from "./prepare_host.ts";
import { numbersOf } from "./named_disks.ts";
import { nameOf } from "./processes.ts";
import { type Finding, ProgramCheck } from "./program_check.ts";
import { SpareShell } from "./spare_shell.ts";
import { Stopping } from "./stopping.ts";

/** The unit in which the launcher is told the grace period. */
const GRACE_UNIT_MS = 50;

/** A shell that takes longer to send signals is stuck, and a new one sends them again. */
const SPARE_SHELL_TIMEOUT_MS = 1000;

/** With processes of its own, a job's command is a child of a child of its main process (lib/shim/enter.sh). */
const OWN_PROCESSES_LEVELS = 2;

/** Signals after which no SIGCONT follows: they end a stopped process themselves, or stop one. */
const ENDS_STOPPED: ReadonlySet<SignalName> = new Set(["KILL", "STOP", "CONT"]);

/** Runs jobs on this host. */
export class LocalExecutor implements Executor {
  readonly #host: CgroupHost;
  readonly #bootId: string;
  readonly #adopted: AdoptedJobs;
  readonly #launchers: Launchers;
  readonly #diskLimits = new DiskLimits();
  /** Groups for all jobs that were not there before. */
  readonly #madeGroups: readonly string[];
  readonly #programs = new ProgramCheck();
  readonly #spareShell = new SpareShell();
  readonly #counterShell = new CounterShell();
  readonly #counters = new CounterReader((placements) =>
    readCounters(placements, (files) => this.#counterShell.read(files))
  );
  readonly #stopping: Stopping;
  readonly capabilities: Capabilities;
  /** Open descriptors that the server has inherited, and that jobs inherit too. */
  readonly inheritedDescriptors: readonly number[];

  private constructor(
    { host, made }: Awaited<ReturnType<typeof prepareHost>>,
    report: HostReport,
    maxDescriptors: number | undefined,
  ) {
    this.#host = host;
    this.#madeGroups = made;
    this.#bootId = report.bootId;
    this.inheritedDescriptors = report.inheritedDescriptors;
    this.#adopted = new AdoptedJobs(report.bootId);
    this.#launchers = new Launchers({
      group: launchersGroup(host),
      environment: JOB_ENVIRONMENT,
      maxLaunching: maxLaunching(host),
      script: launcherScript(maxDescriptors, report.processors),
    });
    this.#stopping = new Stopping({
      clock: SYSTEM_CLOCK,
      terminate: (job, signal, options) => this.#terminate(job, signal, options),
      kill: (job) => this.#kill(job),
      remaining: (job) => this.remaining(job),
    });
    this.capabilities = capabilitiesOf(host);
    this.#spareShell.prepare();
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

  plan(jobId: string, limits: Limits, settings: JobSettings): Handle {
    requireNoCluster(settings.queue);
    return { ...this.#place(jobId, limits) };
  }

  async submit(request: SubmitRequest): Promise<Tracked> {
    const { jobId, limits, command, folder } = request;
    const plan = planGroups(this.#host, jobId, limits);
    this.#spareShell.prepare();
    let launched: Launched;
    let finding: Finding | undefined;
    try {
      const isRoot = request.settings.user === DEFAULT_SETTINGS.user;
      [finding] = await Promise.all([
        this.#programs.find({
          name: command.name,
          path: request.secrets.environment["PATH"] ?? JOB_ENVIRONMENT.PATH,
          folder: request.settings.workingDirectory,
          isRoot,
        }),
        this.#makeGroups(plan.entered),
      ]);
      if (isRoot && finding !== undefined) throw finding.error;
      launched = await this.#launchers.launch({
        owner: request.owner,
        words: [
          folder,
          lines([request.output, ...(request.errors === undefined ? [] : [request.errors])]),
          lines(plan.entered),
          lines(plan.settings.map(settingLine)),
          lines(plan.diskSettings.map(settingLine)),
          lines(plan.counters.map(({ name, file }) => `${name} ${file}`)),
          plan.populatedFile,
          String(Math.ceil(request.graceMs / GRACE_UNIT_MS)),
        ],
        command: [command.name, ...command.args],
        environment: { JOB_ID: jobId },
        secrets: await entryEnvironment(request, finding),
      });
    } catch (error) {
      await insistOnDiscarding(plan.groups);
      throw toLaunchError(error);
    }
    const report = parseLaunchReport(launched.report, command.name, finding?.error);
    if (report.kind === "refused") {
      await launched.done;
      await insistOnDiscarding(plan.groups);
      throw report.error;
    }
    return this.#tracked(jobId, report.pid, this.#ending(request, launched.done));
  }

  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    const foreign = requests.filter(({ handle }) => !isHosts(handle));
    if (foreign.length > 0) {
      // To look here would find nothing of them, and what is not found would be told as lost.
      throw new Error(
        `${foreign.length} jobs on record are a cluster's and have not ended: start the server with ` +
          "--engine slurm as before, or choose another log directory with --log-dir",
      );
    }
    const found = await this.#adopted.adopt(requests.map((request) => ({
      jobId: request.jobId,
      folder: request.folder,
      placement: this.#placementOf(request),
      wasRunning: request.phase === "begun",
    })));
    const adoptions = new Map<string, Adoption>();
    for (const [jobId, outcome] of found) {
      if (outcome.kind === "running") {
        const { pid, ended } = outcome;
        adoptions.set(jobId, { kind: "tracked", ...this.#tracked(jobId, pid, ended) });
        continue;
      }
      this.#stopping.forget(jobId);
      adoptions.set(
        jobId,
        outcome.kind === "ended"
          ? { kind: "ended", begun: { pid: outcome.pid }, ending: outcome.ending }
          : outcome,
      );
    }
    return adoptions;
  }

  async populated(): Promise<string[]> {
    const printed = await runScript(scripts.strays, [dirname(launchersGroup(this.#host))]);
    return printed.split("\n").filter(isJobId);
  }

  async stop(job: JobRef, order: StopOrder): Promise<void> {
    await this.#stopping.stop(job, order);
  }

  async signal(
    job: JobRef,
    signal: SignalName,
    options: SignalOptions = {},
  ): Promise<boolean> {
    const args = await signalArguments([signal], this.#onHost(job), options);
    try {
      return await this.#send(args, job.owner);
    } catch (error) {
      throw withRoomNamed(error, "signal");
    }
  }

  async remaining(job: JobRef): Promise<ProcessState[]> {
    const { groups } = this.#placementOf(job);
    const printed = await runScript(scripts.states, [...await mainArgument(job), ...groups], {
      who: `jobs of ${job.owner}`,
    });
    // A process is in several groups on cgroup v1.
    return [...new Set(printed.split("\n"))].filter((line) => line !== "").map((line) => {
      const [pid, state = ""] = line.split(" ");
      return { pid: Number(pid), state };
    });
  }

  async update(job: JobRef, { limits, names }: LimitUpdate): Promise<Limits> {
    const changes = planChanges(this.#host, this.#placementOf(job).groups, { limits, names });
    return await updateLimits(changes, { limits, who: `jobs of ${job.owner}` });
  }

  accountOf(uid: number): Promise<string | undefined> {
    return accountOf(uid);
  }

  groupOf(user: string, group: string): Promise<FoundGroup | undefined> {
    return groupOf(user, group);
  }

  numbersOf(disks: readonly string[], purpose: LimitPurpose): Promise<string[]> {
    return numbersOf(disks, purpose);
  }

  async holdDiskLimits(
    jobs: readonly { readonly jobId: string; readonly limits: Limits }[],
  ): Promise<void> {
    const settings = jobs.flatMap(({ jobId, limits }) => {
      const plan = planGroups(this.#host, jobId, limits);
      return [...plan.diskSettings, ...plan.settings];
    });
    if (settings.length > 0) await this.#diskLimits.hold(settings);
  }

  async usages(jobs: readonly JobRef[]): Promise<Usage[]> {
    const placements = jobs.map((job) => this.#placementOf(job));
    return (await this.#counters.read(placements)).map(parseUsage);
  }

  statuses(jobIds: readonly string[]): (EngineStatus | undefined)[] {
    return jobIds.map(() => undefined);
  }

  /** Also removes the parent groups that are empty. */
  async close({ keepsFoundGroups = false } = {}): Promise<void> {
    this.#stopping.close();
    this.#adopted.close();
    await Promise.all([
      this.#launchers.close(),
      this.#spareShell.close(),
      this.#counterShell.close(),
    ]);
    const groups = [launchersGroup(this.#host), ...parentGroups(this.#host)];
    await removeEmptyGroups(
      keepsFoundGroups ? groups.filter((group) => this.#madeGroups.includes(group)) : groups,
    );
  }

  #place(jobId: string, limits: Limits): Placement {
    const { groups, tracker, populatedFile, counters } = planGroups(this.#host, jobId, limits);
    return { groups, tracker, populatedFile, counters, bootId: this.#bootId };
  }

  /** A handle that was damaged is made again: the groups of a job on this host are known by its id. */
  #placementOf({ jobId, handle }: Pick<JobRef, "jobId" | "handle">): Placement {
    const placement = placementIn(handle);
    if (placement !== undefined) return placement;
    const { bootId: _, ...made } = this.#place(jobId, {});
    return made;
  }

  #onHost(job: JobRef): JobOnHost {
    return { ...job, placement: this.#placementOf(job) };
  }

  #tracked(jobId: string, pid: number, ended: Promise<Ending>): Tracked {
    this.#stopping.watch(jobId, ended);
    return { whenBegun: Promise.resolve({ pid }), ended };
  }

  async #terminate(job: JobRef, signal: SignalName, options: SignalOptions): Promise<void> {
    await markStopping(job.folder);
    const signals = ENDS_STOPPED.has(signal) ? [signal] : [signal, "CONT"] as const;
    const target = this.#onHost(job);
    // Asking all of its processes to end is better than to kill those that nobody has asked.
    const args = await signalArguments(signals, target, options)
      .catch(() => signalArguments(signals, target));
    await this.#sendAtOnce(args, job.owner);
  }

  async #kill(job: JobRef): Promise<void> {
    await this.#sendAtOnce(await signalArguments(["KILL"], this.#onHost(job)), job.owner);
  }

  /** Sends signals, one after the other. @returns Whether there was a process to send them to. */
  async #send(args: readonly string[], owner: string): Promise<boolean> {
    let printed: string;
    try {
      printed = await runScript(scripts.signal, args, { who: `jobs of ${owner}` });
    } catch (error) {
      // The host has no room for a process, say.
      printed = await this.#spareShell.send(args).catch(() => {
        throw error;
      });
    }
    return /^reached$/m.test(printed);
  }

  /**
   * Sends signals that end a job, without a new process where that is possible: a job that forks without
   * end keeps the kernel from making one for seconds, and the whole server waits meanwhile.
   */
  async #sendAtOnce(args: readonly string[], owner: string): Promise<void> {
    try {
      await this.#spareShell.send(args, SPARE_SHELL_TIMEOUT_MS);
    } catch {
      await runScript(scripts.signal, args, { who: `jobs of ${owner}` });
    }
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

  async #ending(request: SubmitRequest, done: Promise<number>): Promise<Ending> {
    const status = await done;
    const { jobId, folder } = request;
    const job = { jobId, folder, placement: this.#placementOf(request) };
    const ending = readLaunchRecord(folder)?.ending;
    if (ending !== undefined) return await whenConfirmed(job, ending);
    log.warn("the launcher of a job is gone, and has left no exit status", { job: jobId });
    return await whenOrphanEnds(
      job,
      status === RECORD_REFUSED_STATUS ? LOST_BECAUSE.diskRefused : LOST_BECAUSE.launcherKilled,
    );
  }
}

/** A job, and where its processes are. */
interface JobOnHost extends JobRef {
  readonly placement: Placement;
}

/** What this host can do. */
function capabilitiesOf(host: CgroupHost): Capabilities {
  const support = (controller: Controller): LimitSupport =>
    hasController(host, controller)
      ? "held"
      : { refused: `the ${controller} controller is not available to the worker` };
  const limits: Record<LimitName, LimitSupport> = {
    cpuCores: support("cpu"),
    memoryBytes: support("memory"),
    readBytesPerSecond: support("io"),
    writeBytesPerSecond: support("io"),
    processes: support("pids"),
    memoryHighBytes: hasMemoryHigh(host) ? "held" : { refused: NO_MEMORY_HIGH },
    readOperationsPerSecond: support("io"),
    writeOperationsPerSecond: support("io"),
    allowedCpus: support("cpuset"),
    disks: support("io"),
  };
  return {
    engine: "",
    queues: false,
    keepsTime: false,
    output: { news: "events", bound: "holes" },
    limits,
    updates: "possible",
    isolation: true,
    openStdin: true,
    separateStderr: true,
    users: true,
    openFiles: "possible",
    partitions: [],
  };
}

/**
 * What lib/shim/signal.sh takes.
 *
 * @throws {JobError} "precondition" when signals are for the main process alone, and that is not known.
 */
async function signalArguments(
  signals: readonly SignalName[],
  job: JobOnHost,
  { mainOnly = false }: SignalOptions = {},
): Promise<string[]> {
  const [main] = await mainArgument(job);
  if (mainOnly) {
    if (main === undefined) {
      throw new JobError(
        "precondition",
        "Cannot signal the main process alone: its identity is not on record (an earlier version of " +
          "the server has started it, or the disk is stuck); signal all of the job's processes",
      );
    }
    const levels = job.settings.isolation.ownProcesses ? OWN_PROCESSES_LEVELS : 0;
    return [signals.join(" "), `${main}:${levels}`];
  }
  const { tracker, groups } = job.placement;
  // A process that has left the tracker may still be in another of the job's groups.
  const others = signals[0] === "KILL" ? groups.filter((group) => group !== tracker) : [];
  return [signals.join(" "), ...(main === undefined ? [] : [main]), tracker, ...others];
}

/** A job's main process as scripts take it, where it is known. */
async function mainArgument({ folder }: JobRef): Promise<string[]> {
  const main = await mainProcessOf(folder);
  return main === undefined ? [] : [nameOf(main)];
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

/**
 * Gives launchers, and so jobs, what the server has otherwise: its first limit of descriptors, since programs
 * that go through all numbers are slow, or fail, where there are many; and all processors.
 */
function launcherScript(
  maxDescriptors: number | undefined,
  processors: string | undefined,
): string {
  const limit = maxDescriptors === undefined || !Number.isFinite(maxDescriptors)
    ? ""
    : `ulimit -Sn ${maxDescriptors}\n`;
  // The kernel leaves out those that the cpuset does not allow.
  const affinity = processors === undefined
    ? ""
    : `taskset -pc ${quoteForShell(processors)} "$$" >/dev/null\n`;
  return `${limit}${affinity}${scripts.launch}`;
}
