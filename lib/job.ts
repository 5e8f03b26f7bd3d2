/** Jobs: started, stopped, asked about, remembered. The only writer of a job's state. */
import { join } from "node:path";
import { type Usage } from "./cgroup/types.ts";
import { isJobId } from "../common/job_id.ts";
import { isDiskFull, JobError, messageOf, quoted } from "./errors.ts";
import type { Adoption, Executor, Running } from "./executor.ts";
import type { Ending } from "./model/ending.ts";
import { type JobBounds, requireRoom } from "./job/bounds.ts";
import { JOBS_FOLDER, OUTPUT_FILE } from "./job/folder.ts";
import { type JobQuery, listPage } from "./job/list.ts";
import {
  checkCommand,
  checkIdempotencyKey,
  type JobRequest,
  sameRequest,
} from "./model/request.ts";
import { DEFAULT_SETTINGS, MAX_GRACE_MS, type SignalName } from "./model/settings.ts";
import {
  hasEnded,
  type JobRecord,
  type JobState,
  recordedUsage,
  requireTransition,
} from "./model/record.ts";
import { NO_SPACE } from "./errors.ts";
import { type Limits, narrowLimits, readLimits } from "./limits.ts";
import { log } from "./log.ts";
import { OutputLog } from "./logs.ts";
import { cutOffset, freeHeads } from "./logs/rotation.ts";
import type { JobStore } from "./store.ts";

/** How long a record that could not be stored is kept before the next try. */
const STORE_RETRY_MS = 1000;

/** How long after a kill that failed (the host had no process left for it) the next one comes. */
const KILL_RETRY_MS = 500;

/** Shorter beginnings of ids are not looked for: they would soon be another job's. */
const ID_PREFIX = /^[0-9a-f][0-9a-f-]{3,35}$/;

/** More jobs than that with ids that begin alike are not looked at for one that may be seen. */
const MAX_SAME_PREFIX = 100;

/** What the runtime's timers take; what is later is waited for in pieces. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What the manager is told once. */
export interface JobManagerOptions {
  executor: Executor;
  store: JobStore;
  /** Where records and output are. */
  logFolder: string;
  /** Where the limit files are. */
  limitsFolder: string;
  /** Between SIGTERM and SIGKILL, unless a Stop says another. */
  graceMs: number;
  /** The bound for each job's processes and threads; Infinity: none. */
  maxProcesses: number;
  bounds: JobBounds;
  /** Newest output kept of each job, in bytes. */
  maxOutputBytes: number;
}

/** A job as it is now. */
export interface JobView {
  record: JobRecord;
  usage: Usage;
  outputBytes: number;
}

/** A job that has not ended. */
export interface ActiveJob {
  record: JobRecord;
  output: OutputLog;
  /** Settles when the job has ended and its record is complete. */
  ended: Promise<void>;
}

/** All jobs of one log directory. */
export class JobManager {
  readonly #options: JobManagerOptions;
  readonly #store: JobStore;
  readonly #active = new Map<string, ActiveJob>();
  /** Who has begun to start which job, under which name; it is not among the active ones yet. */
  readonly #beginning = new Map<string, { owner: string; title: string }>();
  /** Starts under way, by owner and idempotency key. */
  readonly #starting = new Map<string, Promise<string>>();
  readonly #killTimers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #timeouts = new Map<string, ReturnType<typeof setTimeout>>();

  private constructor(options: JobManagerOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /** Takes over what an earlier server left, and is ready. */
  static async open(options: JobManagerOptions): Promise<JobManager> {
    const manager = new JobManager(options);
    await Deno.mkdir(join(options.logFolder, JOBS_FOLDER), { recursive: true, mode: 0o700 });
    await manager.#adoptJobs();
    return manager;
  }

  /** Jobs that have not ended. */
  get active(): Iterable<ActiveJob> {
    return this.#active.values();
  }

  /**
   * Starts a job.
   *
   * @param idempotencyKey Where it is not empty, an owner's second Start with it answers with the
   * first one's job.
   * @returns The job's id.
   * @throws {JobError} When the request, a limit file or the command is bad; then nothing runs.
   */
  async start(
    request: JobRequest,
    options: { owner: string; idempotencyKey: string },
  ): Promise<string> {
    checkCommand(request.command);
    if (options.idempotencyKey === "") return await this.#start(request, options);
    checkIdempotencyKey(options.idempotencyKey);
    const key = JSON.stringify([options.owner, options.idempotencyKey]);
    const underWay = this.#starting.get(key);
    if (underWay !== undefined) {
      await underWay.catch(() => {}); // Its own caller hears of its failure; this one tries anew.
      return await this.start(request, options);
    }
    const earlier = this.#store.getByKey(options.owner, options.idempotencyKey);
    if (earlier !== undefined) return sameRequest(earlier, request);
    const starting = this.#start(request, options);
    this.#starting.set(key, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(key);
    }
  }

  /**
   * Stops a job: SIGTERM, the grace period, SIGKILL. Returns when none of its processes is left.
   *
   * @param asked Milliseconds; undefined: the job's, or the server's default. 0: SIGKILL at once.
   * @throws {JobError} "not-found", or "precondition" when the job has already ended.
   */
  async stop(id: string, asked?: number): Promise<void> {
    const job = this.#running(id, "stop");
    const { state, settings } = job.record;
    if (hasEnded(state)) return;
    const graceMs = asked ?? settings?.graceMs ?? this.#options.graceMs;
    if (graceMs > MAX_GRACE_MS) {
      throw new JobError("invalid", `Cannot stop job ${id}: the grace period is above an hour`);
    }
    const killAtMs = Date.now() + graceMs;
    if (state.kind === "running") await this.#change(job, { ...state, kind: "stopping", killAtMs });
    else if (state.kind === "stopping" && killAtMs < state.killAtMs) {
      await this.#change(job, { ...state, killAtMs });
    }
    await this.#endProcesses(job, state.kind === "running");
    await job.ended;
  }

  /**
   * The id of the job that a text stands for: its id, its name (the newest one's that has it), or the
   * beginning of its id where that is no other's.
   *
   * @param isVisible Whether the caller may know of an owner's jobs; the others are not there.
   * @throws {JobError} "not-found", or "invalid" when several ids begin so.
   */
  resolve(text: string, isVisible: (owner: string) => boolean = () => true): string {
    const records = this.#named(text).filter(({ owner }) => isVisible(owner));
    if (records.length > 1) {
      throw new JobError("invalid", `More than one job's id begins with ${text}; give more of it`);
    }
    return requireBegun(records[0], text).id;
  }

  #named(text: string): JobRecord[] {
    const found = this.#find(text) ?? (text === "" ? undefined : this.#store.getByTitle(text));
    if (found !== undefined) return [found];
    return ID_PREFIX.test(text) ? this.#store.withPrefix(text, MAX_SAME_PREFIX) : [];
  }

  #find(id: string): JobRecord | undefined {
    return isJobId(id) ? this.#active.get(id)?.record ?? this.#store.get(id) : undefined;
  }

  /** @throws {JobError} "not-found". */
  async query(id: string): Promise<JobView> {
    const [view] = await this.#views([this.#record(id)], { withUsage: true });
    if (view === undefined) throw new Error("a job has no view");
    return view;
  }

  /**
   * A page of the jobs that match, the newest first.
   *
   * @throws {JobError} "invalid" for a token that no page had.
   */
  async list(query: JobQuery): Promise<{ jobs: JobView[]; nextPageToken: string }> {
    const { records, nextPageToken } = await listPage(this.#store, query);
    return { jobs: await this.#views(records, query), nextPageToken };
  }

  /**
   * Sends a signal to all processes of a job.
   *
   * @throws {JobError} "not-found", or "precondition" when the job has ended.
   */
  async signal(id: string, signal: SignalName): Promise<void> {
    await this.#options.executor.signal(this.#running(id, "signal").record, signal);
  }

  async #views(
    records: readonly JobRecord[],
    { withUsage }: { withUsage: boolean },
  ): Promise<JobView[]> {
    const running = withUsage ? records.filter(({ state }) => !hasEnded(state)) : [];
    const placements = running.map(({ placement }) => placement);
    const usages = placements.length === 0 ? [] : await this.#options.executor.usages(placements);
    const usageOf = new Map(running.map(({ id }, index) => [id, usages[index] ?? {}]));
    return records.map((record) => {
      const bytes = this.#outputBytes(record);
      // The job may have ended, or been removed, while its counters were read. An ended one is as it is.
      const latest = hasEnded(record.state) ? record : this.#find(record.id) ?? record;
      const usage = hasEnded(latest.state)
        ? recordedUsage(latest.state)
        : usageOf.get(record.id) ?? {};
      return { record: latest, usage, outputBytes: bytes };
    });
  }

  /** The output of a job. @throws {JobError} "not-found". */
  output(id: string): OutputLog {
    return this.#output(this.#record(id));
  }

  /** Waits until a job has ended. @throws {JobError} "not-found". */
  async wait(id: string): Promise<void> {
    this.#record(id);
    await this.#active.get(id)?.ended;
  }

  /**
   * Forgets a job that has ended, and deletes its output.
   *
   * @throws {JobError} "not-found", or "precondition" while the job runs.
   */
  async remove(id: string): Promise<void> {
    const { state } = this.#record(id);
    if (!hasEnded(state)) {
      throw new JobError("precondition", `Cannot remove job ${id}: it is running; stop it first`);
    }
    // The record goes last: should the server die in between, the job can be removed again.
    await this.#removeFolder(id);
    this.#store.delete(id);
    await this.#store.synced();
  }

  /** Cuts the output of the jobs that have written beyond the bound. */
  async rotate(): Promise<void> {
    await this.#rotate([...this.#active.values()]);
  }

  async #rotate(jobs: readonly ActiveJob[]): Promise<void> {
    const cuts: { job: ActiveJob; offset: number }[] = [];
    for (const job of jobs) {
      const { record, output } = job;
      const { bytes } = sizeOf(output);
      const offset = cutOffset(bytes, output.firstOffset, this.#options.maxOutputBytes);
      if (offset === undefined) continue;
      try {
        this.#store.setFirstOffset(record.id, offset);
        cuts.push({ job, offset });
      } catch (error) {
        log.error("cannot rotate output", { job: record.id, error: messageOf(error) });
      }
    }
    if (cuts.length === 0) return;
    try {
      // On record before the first byte goes: what is gone is never taken for zeros.
      await this.#store.synced();
    } catch (error) {
      log.error("cannot rotate output", { jobs: cuts.length, error: messageOf(error) });
      return;
    }
    for (const { job: { record, output }, offset } of cuts) {
      record.firstOffset = offset;
      output.firstOffset = offset;
    }
    await freeHeads(cuts.map(({ job: { record }, offset }) => ({
      file: join(this.#folder(record.id), OUTPUT_FILE),
      length: offset,
    })));
  }

  async #start(
    request: JobRequest,
    { owner, idempotencyKey }: { owner: string; idempotencyKey: string },
  ): Promise<string> {
    const { bounds } = this.#options;
    const { title } = request.settings;
    const running = [
      ...[...this.#active.values()].map(({ record }) => ({
        owner: record.owner,
        title: record.settings?.title ?? "",
      })),
      ...this.#beginning.values(),
    ];
    requireRoom(running.map((other) => other.owner), owner, bounds);
    if (title !== "" && running.some((other) => other.title === title)) {
      throw new JobError(
        "precondition",
        `Cannot start the job: a job with the name ${title} is running; stop it, or choose another name`,
      );
    }
    const id = crypto.randomUUID();
    this.#beginning.set(id, { owner, title });
    try {
      return await this.#begin(request, { id, owner, idempotencyKey });
    } finally {
      this.#beginning.delete(id);
    }
  }

  async #begin(
    { command, settings, secrets, limits: asked }: JobRequest,
    { id, owner, idempotencyKey }: { id: string; owner: string; idempotencyKey: string },
  ): Promise<string> {
    const { executor, maxProcesses } = this.#options;
    const allowed: Limits = {
      ...readLimits(this.#options.limitsFolder),
      ...(Number.isFinite(maxProcesses) ? { processes: maxProcesses } : {}),
    };
    const limits = narrowLimits(allowed, asked);
    const record: JobRecord = {
      id,
      command,
      settings,
      owner,
      idempotencyKey,
      createdAtMs: Date.now(),
      limits,
      placement: executor.place(id, limits),
      state: { kind: "starting" },
      firstOffset: 0,
    };
    const folder = this.#folder(id);
    try {
      this.#store.insert(record);
      Deno.mkdirSync(folder, { mode: 0o700 });
      const output = join(folder, OUTPUT_FILE);
      Deno.openSync(output, { write: true, createNew: true, mode: 0o600 }).close();
      const { placement } = record;
      const running = await executor.launch({
        jobId: id,
        command,
        settings,
        secrets,
        limits,
        placement,
        folder,
        output,
        graceMs: settings.graceMs ?? this.#options.graceMs,
      });
      await this.#began(record, running, Date.now()).stored;
    } catch (error) {
      await this.#forget(id);
      throw isDiskFull(error) ? new JobError("exhausted", NO_SPACE, { cause: error }) : error;
    }
    return id;
  }

  #began(
    record: JobRecord,
    { pid, ended }: Running,
    startedAtMs: number,
  ): { job: ActiveJob; stored: Promise<void> } {
    const output = new OutputLog(join(this.#folder(record.id), OUTPUT_FILE), {
      firstOffset: record.firstOffset,
      finished: false,
    });
    const job: ActiveJob = { record, output, ended: Promise.resolve() };
    job.ended = ended.then((ending) => this.#ended(job, ending));
    this.#active.set(record.id, job);
    const stored = record.state.kind === "starting"
      ? this.#change(job, { kind: "running", pid, startedAtMs })
      : Promise.resolve();
    this.#timeOut(job);
    return { job, stored };
  }

  /** Stops a job when its time is up; one that was adopted when that was long ago, at once. */
  #timeOut(job: ActiveJob): void {
    const { record } = job;
    const { timeoutMs = 0 } = record.settings ?? {};
    if (timeoutMs === 0 || record.state.kind !== "running") return;
    const leftMs = record.state.startedAtMs + timeoutMs - Date.now();
    const isLater = leftMs > LONGEST_TIMER_MS;
    this.#timeouts.set(
      record.id,
      setTimeout(() => {
        if (isLater) return this.#timeOut(job);
        if (record.state.kind !== "running") return;
        log.info("a job's time is up", { job: record.id, timeoutMs });
        record.timedOut = true;
        this.stop(record.id).catch((error: unknown) =>
          log.error("cannot stop a job", { job: record.id, error: messageOf(error) })
        );
      }, isLater ? LONGEST_TIMER_MS : Math.max(0, leftMs)),
    );
  }

  async #ended(job: ActiveJob, ending: Ending): Promise<void> {
    const { record, output } = job;
    const { state } = record;
    if (state.kind !== "running" && state.kind !== "stopping") return;
    for (const timers of [this.#killTimers, this.#timeouts]) {
      clearTimeout(timers.get(record.id));
      timers.delete(record.id);
    }
    await this.#rotate([job]);
    const { diskBytes } = sizeOf(output);
    const { pid, startedAtMs } = state;
    // The launcher's word of the start arrives a moment after it; a job may have ended by then.
    const endedAtMs = Math.max(ending.endedAtMs, startedAtMs);
    await this.#change(job, { pid, startedAtMs, ...ending, endedAtMs }, diskBytes);
    output.finish();
    log.info("job ended", {
      job: record.id,
      state: ending.kind,
      ...(ending.kind === "exited"
        ? { exitCode: ending.exitCode, signal: ending.signal, oomKilled: ending.oomKilled }
        : { reason: ending.reason }),
    });
  }

  /** Changes a job's state in memory and on disk; a full disk is waited out, and nothing forgotten. */
  async #change(job: ActiveJob, state: JobState, outputBytes = 0): Promise<void> {
    requireTransition(job.record.state, state);
    job.record.state = state;
    await this.#save(job, outputBytes);
  }

  async #save(job: ActiveJob, outputBytes: number): Promise<void> {
    const { id, state } = job.record;
    try {
      this.#store.update(job.record, outputBytes);
      await this.#store.synced();
      if (hasEnded(state)) this.#active.delete(id);
    } catch (error) {
      log.error("cannot store a job's record, trying again", { job: id, error: messageOf(error) });
      const retry = () => job.record.state === state && void this.#save(job, outputBytes);
      Deno.unrefTimer(setTimeout(retry, STORE_RETRY_MS));
    }
  }

  async #endProcesses(job: ActiveJob, sendTerm: boolean): Promise<void> {
    const { record } = job;
    if (record.state.kind !== "stopping") return;
    const { executor } = this.#options;
    const target = { placement: record.placement, folder: this.#folder(record.id) };
    const kill = async () => {
      try {
        await executor.kill(target);
      } catch (error) {
        log.error("cannot kill a job, trying again", { job: record.id, error: messageOf(error) });
        this.#killTimers.set(record.id, setTimeout(() => void kill(), KILL_RETRY_MS));
      }
    };
    const graceMs = record.state.killAtMs - Date.now();
    clearTimeout(this.#killTimers.get(record.id));
    if (graceMs <= 0) return await kill();
    this.#killTimers.set(record.id, setTimeout(() => void kill(), graceMs));
    if (!sendTerm) return;
    const { stopSignal } = record.settings ?? DEFAULT_SETTINGS;
    await executor.terminate(target, stopSignal);
  }

  async #adoptJobs(): Promise<void> {
    const records = this.#store.active();
    const adoptions = await this.#options.executor.adopt(records.map((record) => ({
      jobId: record.id,
      placement: record.placement,
      folder: this.#folder(record.id),
      wasRunning: record.state.kind !== "starting",
    })));
    const ended: Promise<void>[] = [];
    for (const record of records) {
      const adoption = adoptions.get(record.id);
      if (adoption === undefined) continue;
      const job = await this.#adopt(record, adoption);
      if (job !== undefined && adoption.kind === "ended") ended.push(job.ended);
    }
    // Together, since they wait for the disk together.
    await Promise.all(ended);
    if (records.length > 0) log.info("adopted jobs of an earlier server", { jobs: records.length });
  }

  async #adopt(record: JobRecord, adoption: Adoption): Promise<ActiveJob | undefined> {
    if (adoption.kind === "never-started") {
      await this.#forget(record.id);
      return undefined;
    }
    const ended = adoption.kind === "running" ? adoption.ended : Promise.resolve(adoption.ending);
    const { job } = this.#began(record, { pid: adoption.pid, ended }, record.createdAtMs);
    if (adoption.kind === "running" && record.state.kind === "stopping") {
      await this.#endProcesses(job, true);
    }
    return job;
  }

  #running(id: string, verb: string): ActiveJob {
    const { state } = this.#record(id);
    const job = this.#active.get(id);
    if (job !== undefined && !hasEnded(state)) return job;
    const how = state.kind === "lost" ? "is lost" : "has already exited";
    throw new JobError("precondition", `Cannot ${verb} job ${id}: it ${how}`);
  }

  #record(id: string): JobRecord {
    return requireBegun(this.#find(id), id);
  }

  #output({ id, firstOffset }: JobRecord): OutputLog {
    return this.#active.get(id)?.output ??
      new OutputLog(join(this.#folder(id), OUTPUT_FILE), { firstOffset, finished: true });
  }

  /** Of a job whose removal has begun the output is gone, and the record still there. */
  #outputBytes(record: JobRecord): number {
    try {
      return this.#output(record).size().bytes;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  }

  #folder(id: string): string {
    return join(this.#options.logFolder, JOBS_FOLDER, id);
  }

  /** Undoes a start that came to nothing. */
  async #forget(id: string): Promise<void> {
    try {
      await this.#removeFolder(id);
      this.#store.delete(id);
    } catch (error) {
      // The record stays, as a start that the next server clears away.
      log.error("cannot clear away a failed start", { job: id, error: messageOf(error) });
    }
  }

  async #removeFolder(id: string): Promise<void> {
    try {
      await Deno.remove(this.#folder(id), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Of output that is gone, or cannot be looked at, nothing. */
function sizeOf(output: OutputLog): { bytes: number; diskBytes: number } {
  try {
    return output.size();
  } catch {
    return { bytes: 0, diskBytes: 0 };
  }
}

/** @throws {JobError} "not-found" where there is no job, or none yet: a start may come to nothing. */
function requireBegun(record: JobRecord | undefined, name: string): JobRecord {
  if (record !== undefined && record.state.kind !== "starting") return record;
  throw new JobError("not-found", `No job has the id ${quoted(name, 64)}`);
}
