/** Jobs: started, stopped, asked about, remembered. The only writer of a job's state. */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { Usage } from "./cgroup.ts";
import { isJobId } from "./cgroup.ts";
import { isDiskFull, JobError, messageOf } from "./errors.ts";
import type { Adoption, Command, Ending, Executor, Running } from "./executor.ts";
import { type JobBounds, requireRoom } from "./job_bounds.ts";
import { JOBS_FOLDER, OUTPUT_FILE } from "./job_folder.ts";
import {
  hasEnded,
  type JobRecord,
  type JobState,
  recordedUsage,
  requireTransition,
} from "./job_state.ts";
import { NO_SPACE } from "./launch_report.ts";
import { type Limits, readLimits } from "./limits.ts";
import { log } from "./log.ts";
import { OutputLog } from "./logs.ts";
import { type Cut, cutOffset, freeHeads } from "./rotation.ts";
import type { JobStore } from "./store.ts";

/** The longest time that a job may be given between SIGTERM and SIGKILL: an hour. */
export const MAX_GRACE_MS = 3_600_000;

/** Linux's bound for one argument with the NUL byte at its end (MAX_ARG_STRLEN). */
const MAX_ARGUMENT_BYTES = 128 * 1024;

/** All arguments together; Linux takes at least this much (execve(2): a quarter of the stack). */
const MAX_COMMAND_BYTES = 1024 ** 2;

/** How long a record that could not be stored is kept before the next try. */
const STORE_RETRY_MS = 1000;

/** How long after a kill that failed (the host had no process left for it) the next one comes. */
const KILL_RETRY_MS = 500;

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
  /** Who has begun to start which job; it is not among the active ones yet. */
  readonly #beginning = new Map<string, string>();
  /** Starts under way, by owner and idempotency key. */
  readonly #starting = new Map<string, Promise<string>>();
  readonly #killTimers = new Map<string, ReturnType<typeof setTimeout>>();

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
    command: Command,
    options: { owner: string; idempotencyKey: string },
  ): Promise<string> {
    checkCommand(command);
    if (options.idempotencyKey === "") return await this.#start(command, options);
    checkIdempotencyKey(options.idempotencyKey);
    const key = JSON.stringify([options.owner, options.idempotencyKey]);
    const underWay = this.#starting.get(key);
    if (underWay !== undefined) {
      await underWay.catch(() => {}); // Its own caller hears of its failure; this one tries anew.
      return await this.start(command, options);
    }
    const earlier = this.#store.getByKey(options.owner, options.idempotencyKey);
    if (earlier !== undefined) return sameCommand(earlier, command);
    const starting = this.#start(command, options);
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
   * @param graceMs Undefined: the server's default. 0: SIGKILL at once.
   * @throws {JobError} "not-found", or "precondition" when the job has already ended.
   */
  async stop(id: string, graceMs = this.#options.graceMs): Promise<void> {
    if (graceMs > MAX_GRACE_MS) {
      throw new JobError("invalid", `Cannot stop job ${id}: the grace period is above an hour`);
    }
    const { state } = this.#record(id);
    const job = this.#active.get(id);
    if (job === undefined || hasEnded(state)) {
      const how = state.kind === "lost" ? "is lost" : "has already exited";
      throw new JobError("precondition", `Cannot stop job ${id}: it ${how}`);
    }
    const killAtMs = Date.now() + graceMs;
    if (state.kind === "running") this.#change(job, { ...state, kind: "stopping", killAtMs });
    else if (state.kind === "stopping" && killAtMs < state.killAtMs) {
      this.#change(job, { ...state, killAtMs });
    }
    await this.#endProcesses(job, state.kind === "running");
    await job.ended;
  }

  /** @throws {JobError} "not-found". */
  async query(id: string): Promise<JobView> {
    const record = this.#record(id);
    const usage = hasEnded(record.state)
      ? recordedUsage(record.state)
      : await this.#options.executor.usage(record.placement);
    const { bytes } = await this.#output(record).size();
    // The job may have ended while its counters were read.
    const latest = this.#record(id);
    if (latest.state.kind !== record.state.kind && hasEnded(latest.state)) {
      return { record: latest, usage: recordedUsage(latest.state), outputBytes: bytes };
    }
    return { record: latest, usage, outputBytes: bytes };
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
  }

  /** Cuts the output of the jobs that have written beyond the bound. */
  async rotate(): Promise<void> {
    await this.#rotate([...this.#active.values()]);
  }

  async #rotate(jobs: readonly ActiveJob[]): Promise<void> {
    const cuts: Cut[] = [];
    for (const { record, output } of jobs) {
      const { bytes } = await output.size().catch(() => ({ bytes: 0 }));
      const offset = cutOffset(bytes, output.firstOffset, this.#options.maxOutputBytes);
      if (offset === undefined) continue;
      try {
        // On record before the first byte goes: what is gone is never taken for zeros.
        this.#store.setFirstOffset(record.id, offset);
      } catch (error) {
        log.error("cannot rotate output", { job: record.id, error: messageOf(error) });
        continue;
      }
      record.firstOffset = offset;
      output.firstOffset = offset;
      cuts.push({ file: join(this.#folder(record.id), OUTPUT_FILE), length: offset });
    }
    await freeHeads(cuts);
  }

  async #start(
    command: Command,
    { owner, idempotencyKey }: { owner: string; idempotencyKey: string },
  ): Promise<string> {
    const { bounds } = this.#options;
    const running = [...this.#active.values()].map(({ record }) => record.owner);
    requireRoom([...running, ...this.#beginning.values()], owner, bounds);
    const id = crypto.randomUUID();
    this.#beginning.set(id, owner);
    try {
      return await this.#begin(command, { id, owner, idempotencyKey });
    } finally {
      this.#beginning.delete(id);
    }
  }

  async #begin(
    command: Command,
    { id, owner, idempotencyKey }: { id: string; owner: string; idempotencyKey: string },
  ): Promise<string> {
    const { executor, maxProcesses } = this.#options;
    const limits: Limits = {
      ...await readLimits(this.#options.limitsFolder),
      ...(Number.isFinite(maxProcesses) ? { processes: maxProcesses } : {}),
    };
    const record: JobRecord = {
      id,
      command,
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
      await Deno.mkdir(folder, { mode: 0o700 });
      const output = join(folder, OUTPUT_FILE);
      (await Deno.open(output, { write: true, createNew: true, mode: 0o600 })).close();
      const { placement } = record;
      const { graceMs } = this.#options;
      const request = { jobId: id, command, limits, placement, folder, output, graceMs };
      this.#began(record, await executor.launch(request), Date.now());
    } catch (error) {
      await this.#forget(id);
      throw isDiskFull(error) ? new JobError("exhausted", NO_SPACE, { cause: error }) : error;
    }
    return id;
  }

  #began(record: JobRecord, { pid, ended }: Running, startedAtMs: number): ActiveJob {
    const output = new OutputLog(join(this.#folder(record.id), OUTPUT_FILE), {
      firstOffset: record.firstOffset,
      finished: false,
    });
    const job: ActiveJob = { record, output, ended: Promise.resolve() };
    job.ended = ended.then((ending) => this.#ended(job, ending));
    this.#active.set(record.id, job);
    if (record.state.kind === "starting") this.#change(job, { kind: "running", pid, startedAtMs });
    return job;
  }

  async #ended(job: ActiveJob, ending: Ending): Promise<void> {
    const { record, output } = job;
    const { state } = record;
    if (state.kind !== "running" && state.kind !== "stopping") return;
    clearTimeout(this.#killTimers.get(record.id));
    this.#killTimers.delete(record.id);
    await this.#rotate([job]);
    const { diskBytes } = await output.size().catch(() => ({ diskBytes: 0 }));
    const { pid, startedAtMs } = state;
    // The launcher's word of the start arrives a moment after it; a job may have ended by then.
    const endedAtMs = Math.max(ending.endedAtMs, startedAtMs);
    this.#change(job, { pid, startedAtMs, ...ending, endedAtMs }, diskBytes);
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
  #change(job: ActiveJob, state: JobState, outputBytes = 0): void {
    requireTransition(job.record.state, state);
    job.record.state = state;
    this.#save(job, outputBytes);
  }

  #save(job: ActiveJob, outputBytes: number): void {
    const { id, state } = job.record;
    try {
      this.#store.update(job.record, outputBytes);
      if (hasEnded(state)) this.#active.delete(id);
    } catch (error) {
      log.error("cannot store a job's record, trying again", { job: id, error: messageOf(error) });
      const retry = () => job.record.state === state && this.#save(job, outputBytes);
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
    if (sendTerm) await executor.terminate(target);
  }

  async #adoptJobs(): Promise<void> {
    const records = this.#store.active();
    const adoptions = await this.#options.executor.adopt(records.map((record) => ({
      jobId: record.id,
      placement: record.placement,
      folder: this.#folder(record.id),
      wasRunning: record.state.kind !== "starting",
    })));
    for (const record of records) {
      const adoption = adoptions.get(record.id);
      if (adoption !== undefined) await this.#adopt(record, adoption);
    }
    if (records.length > 0) log.info("adopted jobs of an earlier server", { jobs: records.length });
  }

  async #adopt(record: JobRecord, adoption: Adoption): Promise<void> {
    if (adoption.kind === "never-started") return await this.#forget(record.id);
    const ended = adoption.kind === "running" ? adoption.ended : Promise.resolve(adoption.ending);
    const job = this.#began(record, { pid: adoption.pid, ended }, record.createdAtMs);
    if (adoption.kind === "ended") await job.ended;
    else if (record.state.kind === "stopping") await this.#endProcesses(job, true);
  }

  #record(id: string): JobRecord {
    const record = isJobId(id) ? this.#active.get(id)?.record ?? this.#store.get(id) : undefined;
    if (record === undefined || record.state.kind === "starting") {
      throw new JobError("not-found", `No job has the id ${JSON.stringify(id.slice(0, 64))}`);
    }
    return record;
  }

  #output({ id, firstOffset }: JobRecord): OutputLog {
    return this.#active.get(id)?.output ??
      new OutputLog(join(this.#folder(id), OUTPUT_FILE), { firstOffset, finished: true });
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

function checkCommand({ name, args }: Command): void {
  if (name === "") throw new JobError("invalid", "Cannot start a job: the program's name is empty");
  if ([name, ...args].some((text) => text.includes("\0"))) {
    throw new JobError("invalid", "Cannot start a job: an argument contains a NUL byte");
  }
  const sizes = [name, ...args].map((text) => Buffer.byteLength(text) + 1);
  if (sizes.some((bytes) => bytes > MAX_ARGUMENT_BYTES)) {
    throw new JobError(
      "invalid",
      "Cannot start a job: an argument is above 128 KiB; hand long data over in a file",
    );
  }
  if (sizes.reduce((total, bytes) => total + bytes) > MAX_COMMAND_BYTES) {
    throw new JobError(
      "invalid",
      "Cannot start a job: its arguments are above 1 MiB; hand long data over in a file",
    );
  }
}

function checkIdempotencyKey(key: string): void {
  if (key.length <= 128) return;
  throw new JobError("invalid", "Cannot start a job: the idempotency key is above 128 characters");
}

function sameCommand({ id, command }: JobRecord, asked: Command): string {
  if (JSON.stringify([command.name, command.args]) === JSON.stringify([asked.name, asked.args])) {
    return id;
  }
  throw new JobError(
    "precondition",
    "Cannot start the job: its idempotency key was used for another command",
  );
}
