/** Jobs: started, stopped, queried, kept on record. The parts are in lib/job/; this wires them. */
import { JobError } from "./errors.ts";
import type { Executor, SignalOptions } from "./executor.ts";
import { type ActiveJob, ActiveJobs } from "./job/active_jobs.ts";
import { adoptJobs } from "./job/adopt.ts";
import type { JobBounds } from "./job/bounds.ts";
import { type Clock, SYSTEM_CLOCK } from "../common/clock.ts";
import { RATE_NAMES } from "../common/limits.ts";
import { type EndingParts, Endings, type StopOptions } from "./job/endings.ts";
import { type EventQuery, type EventsPage, followEvents, RecentRecords } from "./job/events.ts";
import { JobFolders } from "./job/folder.ts";
import { Inputs, type SenderOptions, type Sending } from "./job/inputs.ts";
import { type JobQuery, listPage } from "./job/list.ts";
import { HeldJobs } from "./job/held_jobs.ts";
import { type IsVisible, Lookup } from "./job/lookup.ts";
import { refOf } from "./job/refs.ts";
import { removeJob } from "./job/removal.ts";
import { rotate, type RotationParts } from "./job/rotate.ts";
import { type StartOptions, Starts } from "./job/starts.ts";
import { Updates } from "./job/updates.ts";
import { withUserNamed } from "./job/user_names.ts";
import { type JobView, viewJobs } from "./job/views.ts";
import { type LimitPurpose, type Limits, readLimits } from "./limits.ts";
import { QueueFile } from "./limits/queue_file.ts";
import type { OutputLog } from "./logs.ts";
import { freeHeads } from "./logs/rotation.ts";
import { freeSegments } from "./logs/segments.ts";
import type { LimitChange } from "./model/limit_change.ts";
import type { UidRange } from "./model/owner_uids.ts";
import { eventOfRemoval } from "./model/events.ts";
import { hasEnded, isRunning, type JobRecord } from "./model/record.ts";
import type { JobRequest } from "./model/request.ts";
import type { SignalName } from "../common/signals.ts";
import type { JobStore } from "./store.ts";

export type { ActiveJob, JobView };

/** What the manager is told once. */
export interface JobManagerOptions {
  readonly executor: Executor;
  readonly store: JobStore;
  /** Where records and output are. */
  readonly logFolder: string;
  /** Where the folder `jobs` is, with the output; undefined: the log directory. */
  readonly jobsParent?: string | undefined;
  /** Where the limit files are. */
  readonly limitsFolder: string;
  /** Between the stop signal and SIGKILL, unless a Stop or the job's settings say another. */
  readonly graceMs: number;
  /** The bound for each job's processes and threads; Infinity: none. */
  readonly maxProcesses: number;
  readonly bounds: JobBounds;
  /** Uids for owners; undefined: none. */
  readonly ownerUids?: UidRange | undefined;
  /** Newest output kept of each job; Infinity: all. */
  readonly maxOutputBytes: number;
  /** Tests have one of their own. */
  readonly clock?: Clock;
  /** Tests let it fail. */
  readonly freeHeads?: RotationParts["freeHeads"];
  /** Tests let it fail. */
  readonly syncOutput?: EndingParts["syncOutput"];
}

/** The options, and what the parts of the manager share. */
interface Parts extends JobManagerOptions {
  readonly clock: Clock;
  readonly freeHeads: RotationParts["freeHeads"];
  readonly syncOutput: EndingParts["syncOutput"];
  readonly folders: JobFolders;
  readonly active: ActiveJobs;
  readonly queues: QueueFile;
  readonly allowedLimits: (purpose?: LimitPurpose) => Limits;
}

function allowedLimits(
  { limitsFolder, maxProcesses }: Pick<JobManagerOptions, "limitsFolder" | "maxProcesses">,
  purpose?: LimitPurpose,
): Limits {
  return {
    ...readLimits(limitsFolder, purpose),
    ...(Number.isFinite(maxProcesses) ? { processes: maxProcesses } : {}),
  };
}

function syncOutput(output: OutputLog): Promise<void> {
  return output.sync();
}

/** All jobs of one log directory. */
export class JobManager {
  readonly #parts: Parts;
  readonly #lookup: Lookup;
  readonly #endings: Endings;
  readonly #starts: Starts;
  readonly #recent: RecentRecords;
  readonly #held: HeldJobs;
  readonly #updates: Updates;
  readonly #inputs: Inputs;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#lookup = new Lookup(parts);
    this.#recent = new RecentRecords((id) => this.#lookup.find(id));
    const held = this.#held = new HeldJobs({
      ...parts,
      stateOf: (id) => this.#lookup.find(id)?.state,
    });
    this.#inputs = new Inputs(parts);
    this.#endings = new Endings({
      ...parts,
      held,
      rotate: (job) => rotate([job], parts),
      closeInput: (record) => this.#inputs.close(record),
    });
    this.#starts = new Starts({ ...parts, held, endings: this.#endings });
    this.#updates = new Updates(parts);
  }

  /**
   * Takes over the jobs of an earlier server, and is ready.
   *
   * @throws When the store, the executor or the log directory's disk fails.
   */
  static async open(options: JobManagerOptions): Promise<JobManager> {
    const { store, clock = SYSTEM_CLOCK } = options;
    const { news, bound } = options.executor.capabilities.output;
    const folders = new JobFolders(options.jobsParent ?? options.logFolder, news);
    const active = new ActiveJobs(store, clock);
    const parts = {
      freeHeads: bound === "holes" ? freeHeads : freeSegments,
      syncOutput,
      ...options,
      clock,
      folders,
      active,
      queues: new QueueFile(options.limitsFolder),
      allowedLimits: (purpose?: LimitPurpose) => allowedLimits(options, purpose),
    };
    const manager = new JobManager(parts);
    await folders.prepare();
    await adoptJobs({ ...parts, endings: manager.#endings, held: manager.#held });
    for (const job of active) void manager.#updates.settle(job);
    return manager;
  }

  /** Jobs that have not ended. */
  get active(): Iterable<ActiveJob> {
    return this.#parts.active;
  }

  /**
   * Gives a request that names its user by a uid, or its group by a gid, the name by which rules know it, and
   * tells whether the user is in the group.
   *
   * @throws {JobError} "invalid" where the host has no such user or group; "precondition" where it cannot be asked.
   */
  withUserNamed(request: JobRequest): Promise<JobRequest> {
    return withUserNamed(request, this.#parts.executor);
  }

  /**
   * Starts a job.
   *
   * @param options A second Start with an owner's idempotency key is answered with the first one's job.
   * @returns The job's id.
   * @throws {JobError} When the request, a limit file or the command is bad, a bound is reached, the
   * name or the idempotency key is taken, or the disk is full; then nothing runs.
   */
  start(request: JobRequest, options: StartOptions): Promise<string> {
    return this.#starts.start(request, options);
  }

  /**
   * Stops a job: its stop signal, the grace period, SIGKILL. Settles when none of its processes is left.
   *
   * @param options `graceMs`: undefined is the job's, or the server's default; 0 is SIGKILL at once.
   * `mainOnly`: the stop signal goes to the main process alone.
   * @param onBegin Called before anything is done, where something will be: here and below.
   * @throws {JobError} "not-found", "precondition" when the job has already ended, or "invalid".
   */
  async stop(id: string, options: StopOptions = {}, onBegin = () => {}): Promise<void> {
    const job = this.#lookup.running(id, "stop");
    onBegin();
    await this.#endings.stop(job, options);
  }

  /**
   * Sends a signal to all processes of a job, or to its main process alone.
   *
   * @throws {JobError} "not-found", or "precondition" when the job has ended or not begun, or the signal
   * reached nobody.
   */
  async signal(
    id: string,
    signal: SignalName,
    options: SignalOptions = {},
    onBegin = () => {},
  ): Promise<void> {
    const { record } = this.#lookup.running(id, "signal");
    if (!isRunning(record.state)) {
      throw new JobError("precondition", `Cannot signal job ${id}: it has not begun`);
    }
    onBegin();
    const { executor, folders } = this.#parts;
    if (await executor.signal(refOf(record, folders), signal, options)) return;
    throw new JobError(
      "precondition",
      `Cannot signal job ${id}: none of its processes is left in its control groups; it is ending, or ` +
        "has moved them (as su -l and sudo -i do)",
    );
  }

  /**
   * Changes the limits of a running job: all, or none. Settles when the kernel has taken them, and the
   * record says so.
   *
   * @param options `by`: the common name of the caller's certificate.
   * @throws {JobError} "not-found"; "precondition" when the job has ended or the kernel refuses, or a limit
   * is above the server's; "invalid" for one that is not valid; "exhausted" on a full disk.
   */
  async update(
    id: string,
    change: LimitChange,
    { by = "" } = {},
    onBegin = () => {},
  ): Promise<void> {
    await this.#updates.update(this.#lookup.running(id, "update"), change, { by, onBegin });
  }

  /**
   * The id of the job that a text stands for: its id, its name (where several have had it, the caller's
   * own newest one's, else the one's that runs, else the newest one's), or the beginning of its id where
   * no other id begins so.
   *
   * @param isVisible Whether the caller may know of an owner's jobs; the others are left out.
   * @param caller The owner of the caller's own jobs.
   * @throws {JobError} "not-found", or "invalid" when several ids begin so, or several users run a job
   * with the name.
   */
  resolve(text: string, isVisible: IsVisible = () => true, caller?: string): string {
    return this.#lookup.resolve(text, isVisible, caller);
  }

  /** @throws {JobError} "not-found". */
  async query(id: string): Promise<JobView> {
    const record = this.#lookup.begun(id);
    const [view] = await this.#views([record], { withUsage: true });
    if (view === undefined) throw new Error("a job has no view");
    return view;
  }

  /**
   * A page of the jobs that match, the newest first.
   *
   * @param signal Ends the search early, with its reason.
   * @throws {JobError} "invalid" for a page token that no page had, or labels that no job can have.
   */
  async list(
    query: JobQuery,
    signal?: AbortSignal,
  ): Promise<{ jobs: JobView[]; nextPageToken: string }> {
    const { records, nextPageToken } = await listPage(this.#parts.store, query, signal);
    return { jobs: await this.#views(records, query), nextPageToken };
  }

  /**
   * What happens to jobs, and what has happened; see {@linkcode followEvents}.
   *
   * @param signal Ends it, without an error.
   */
  events(query: EventQuery, signal: AbortSignal): AsyncGenerator<EventsPage, void, void> {
    const { store: { journal } } = this.#parts;
    const find = (id: string) => this.#recent.find(id);
    const views = (records: readonly JobRecord[]) => this.#views(records, { withUsage: false });
    return followEvents({ journal, find, views }, query, signal);
  }

  /**
   * The output of a job, or its standard error.
   *
   * @throws {JobError} "not-found", or "precondition" where the standard error is not kept apart.
   */
  output(id: string, { stderr = false } = {}): OutputLog {
    const record = this.#lookup.begun(id);
    const output = stderr ? this.#lookup.errorsOf(record) : this.#lookup.outputOf(record);
    if (output !== undefined) return output;
    throw new JobError(
      "precondition",
      `Cannot read the standard error of job ${id}: it is in its output; a start keeps it apart with ` +
        "--separate-stderr",
    );
  }

  /**
   * Lets somebody send a job its input; of one that has ended, it is over at once.
   *
   * @throws {JobError} "not-found", or "precondition" where it has no open input, or somebody else sends.
   */
  async input(id: string, options: SenderOptions): Promise<Sending> {
    return await this.#inputs.enter(this.#lookup.begun(id), options);
  }

  /** Waits until a job has ended. @throws {JobError} "not-found". */
  async wait(id: string): Promise<void> {
    this.#lookup.begun(id);
    await this.#parts.active.get(id)?.ended;
  }

  /**
   * Removes a job that has ended, with its output.
   *
   * @param options `by`: the common name of the caller's certificate; empty: its time is over.
   * @throws {JobError} "not-found", or "precondition" while the job runs or waits.
   * @throws When the disk fails; the job may then be removed again.
   */
  async remove(id: string, { by = "" } = {}, onBegin = () => {}): Promise<void> {
    const record = this.#lookup.begun(id);
    const { state } = record;
    if (!hasEnded(state)) {
      const what = state.kind === "pending" ? "waits for its turn" : "is running";
      throw new JobError("precondition", `Cannot remove job ${id}: it ${what}; stop it first`);
    }
    onBegin();
    const { clock, store } = this.#parts;
    await removeJob(this.#parts, id, [eventOfRemoval(record, by, clock.nowMs())]);
    this.#recent.forget(id);
    await store.synced();
  }

  /** The host's queues and what is in them, as `NAME: 1 of 2 run, 5 wait`. */
  async queues(): Promise<string[]> {
    return this.#parts.executor.capabilities.queues ? [] : await this.#held.describeQueues();
  }

  /** Lets no job that waits begin any more: the server ends, and the next one goes on. */
  async close(): Promise<void> {
    await this.#held.close();
  }

  /** Cuts the output of the jobs that have written beyond the bound. Never rejects. */
  async rotate(): Promise<void> {
    const begun = [...this.#parts.active].filter(({ record }) => isRunning(record.state));
    await rotate(begun, this.#parts);
  }

  /**
   * Holds the disk limits of running jobs also on disks that have come since.
   *
   * @throws When the host has no room for a process.
   */
  async holdDiskLimits(): Promise<void> {
    const jobs: { jobId: string; limits: JobRecord["limits"] }[] = [];
    for (const { record: { id, limits, state }, isOver } of this.#parts.active) {
      const names = [...RATE_NAMES, "disks"] as const;
      const diskLimits = Object.fromEntries(
        names.map((name) => [name, limits[name]]).filter(([, limit]) => limit !== undefined),
      );
      if (!isOver && isRunning(state) && Object.keys(diskLimits).length > 0) {
        jobs.push({ jobId: id, limits: diskLimits });
      }
    }
    if (jobs.length > 0) await this.#parts.executor.holdDiskLimits(jobs);
  }

  #views(
    records: readonly JobRecord[],
    { withUsage }: { readonly withUsage: boolean },
  ): Promise<JobView[]> {
    const { executor, folders } = this.#parts;
    return viewJobs(records, {
      withUsage,
      lookup: this.#lookup,
      folders,
      executor,
      held: this.#held,
    });
  }
}
