/** Starts of jobs: within the bounds, under a free name, and once for each idempotency key. */
import { isDiskFull, JobError, KILLED_DISK_REFUSES, KILLED_NO_SPACE, NO_SPACE } from "../errors.ts";
import type { Executor } from "../executor.ts";
import { narrowLimits, readLimits } from "../limits.ts";
import { OWNER_UID, type UidRange } from "../model/owner_uids.ts";
import { hasEnded, type JobRecord } from "../model/record.ts";
import {
  checkCommand,
  checkIdempotencyKey,
  type JobRequest,
  requireSameRequest,
} from "../model/request.ts";
import type { JobStore } from "../store.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import { type JobBounds, requireRoom } from "./bounds.ts";
import type { Clock } from "../../common/clock.ts";
import type { Endings } from "./endings.ts";
import type { JobFolders } from "./folder.ts";
import { refOf } from "./refs.ts";
import { discardStart, removeJob } from "./removal.ts";

/** What {@linkcode Starts} works with. */
export interface StartParts {
  readonly executor: Executor;
  readonly store: JobStore;
  readonly folders: JobFolders;
  readonly clock: Clock;
  readonly active: ActiveJobs;
  readonly endings: Endings;
  /** Where the limit files are. */
  readonly limitsFolder: string;
  /** The bound for each job's processes and threads; Infinity: none. */
  readonly maxProcesses: number;
  readonly bounds: JobBounds;
  /** Uids for owners; undefined: none. */
  readonly ownerUids?: UidRange | undefined;
  /** Between the stop signal and SIGKILL, unless the job's settings say another. */
  readonly graceMs: number;
}

/** Who starts a job. */
export interface StartOptions {
  readonly owner: string;
  /** Empty: none. */
  readonly idempotencyKey: string;
  /** Called with the job's id before anything of it runs; not where an earlier job is the answer. */
  readonly onBegin?: (id: string) => void;
}

/** Starts jobs. */
export class Starts {
  readonly #parts: StartParts;
  /** Starts that have begun and whose jobs are not active yet, by job id. */
  readonly #beginning = new Map<string, { readonly owner: string; readonly title: string }>();
  /** Starts under way, by owner and idempotency key. */
  readonly #keyed = new Map<string, Promise<string>>();

  constructor(parts: StartParts) {
    this.#parts = parts;
  }

  /** See {@linkcode JobManager.start}. */
  async start(request: JobRequest, options: StartOptions): Promise<string> {
    checkCommand(request.command);
    checkIdempotencyKey(options.idempotencyKey);
    return await this.#startAs(await this.#withUid(request, options.owner), options);
  }

  /** Gives the job of an owner with a uid of its own that uid. */
  async #withUid(request: JobRequest, owner: string): Promise<JobRequest> {
    const { store, ownerUids } = this.#parts;
    if (request.settings.user !== OWNER_UID || ownerUids === undefined) return request;
    const given = store.uidOf(owner, ownerUids);
    if (given === undefined) {
      throw new JobError(
        "exhausted",
        "Cannot start the job: all uids of --owner-uids are given to other owners; ask the server's " +
          "operator for a larger range",
      );
    }
    // After a power cut nobody else may be given it: files of the job may be on the disk.
    if (given.isNew) await store.synced();
    return { ...request, settings: { ...request.settings, user: String(given.uid) } };
  }

  async #startAs(request: JobRequest, options: StartOptions): Promise<string> {
    const { owner, idempotencyKey } = options;
    if (idempotencyKey === "") return await this.#start(request, options);
    const key = JSON.stringify([owner, idempotencyKey]);
    const underWay = this.#keyed.get(key);
    if (underWay !== undefined) {
      await underWay.catch(() => {}); // Its own caller is told; this one makes an attempt of its own.
      return await this.#startAs(request, options);
    }
    const starting = this.#startWithKey(request, options);
    this.#keyed.set(key, starting);
    try {
      return await starting;
    } finally {
      this.#keyed.delete(key);
    }
  }

  async #startWithKey(request: JobRequest, options: StartOptions): Promise<string> {
    const { store, active } = this.#parts;
    const stored = store.getByKey(options.owner, options.idempotencyKey);
    if (stored === undefined) {
      if (store.hasKey(options.owner, options.idempotencyKey)) {
        throw new JobError(
          "precondition",
          "Cannot start the job: the record of the job that this idempotency key stands for is damaged " +
            "on the server; look what became of that job, and use another key",
        );
      }
      return await this.#start(request, options);
    }
    const earlier = active.get(stored.id)?.record ?? stored;
    if (earlier.state.kind !== "starting") {
      requireSameRequest(earlier, request);
      return earlier.id;
    }
    // It failed, and so did the clean-up after it.
    await removeJob(this.#parts, earlier.id);
    return await this.#start(request, options);
  }

  async #start(request: JobRequest, options: StartOptions): Promise<string> {
    const { owner } = options;
    const { title } = request.settings;
    const running = [...this.#running()];
    requireRoom(running.map((other) => other.owner), owner, this.#parts.bounds);
    // A name is its owner's: nobody learns of others' by it, or keeps them from it.
    if (title !== "" && running.some((other) => other.title === title && other.owner === owner)) {
      throw new JobError(
        "precondition",
        `Cannot start the job: a job of yours with the name ${title} is running; stop it, or choose another name`,
      );
    }
    const id = crypto.randomUUID();
    this.#beginning.set(id, { owner, title });
    try {
      return await this.#begin(id, request, options);
    } finally {
      this.#beginning.delete(id);
    }
  }

  /** The owners and names of jobs that run, or are being started; each job once. */
  *#running(): Generator<{ readonly owner: string; readonly title: string }> {
    const { active } = this.#parts;
    for (const { record: { owner, settings }, isOver } of active) {
      if (!isOver) yield { owner, title: settings?.title ?? "" };
    }
    for (const [id, start] of this.#beginning) {
      if (active.get(id) === undefined) yield start;
    }
  }

  async #begin(
    id: string,
    { command, settings, secrets, limits: askedLimits }: JobRequest,
    { owner, idempotencyKey, onBegin = () => {} }: StartOptions,
  ): Promise<string> {
    const { executor, store, folders, clock, endings, graceMs } = this.#parts;
    store.requireDisk();
    const limits = narrowLimits(this.#allowedLimits(), askedLimits);
    const after = this.#activeOf(settings.queue?.after ?? []);
    const handle = executor.plan(id, limits, settings);
    const record: JobRecord = {
      id,
      command,
      settings,
      owner,
      idempotencyKey,
      createdAtMs: clock.nowMs(),
      limits,
      askedLimits,
      handle,
      state: { kind: "starting" },
      firstOffset: 0,
    };
    try {
      // The record first: what exists of a job is found by the next server, wherever this one ends.
      store.insert(record);
      folders.make(record);
      onBegin(id);
      const tracked = await executor.submit({
        ...refOf(record, folders),
        command,
        secrets,
        limits,
        output: folders.outputPathOf(id),
        graceMs: settings.graceMs ?? graceMs,
        after,
      });
      await this.#whenStored(endings.watch(record, tracked, clock.nowMs()));
    } catch (error) {
      await discardStart(this.#parts, id);
      throw isDiskFull(error) ? new JobError("exhausted", NO_SPACE, { cause: error }) : error;
    }
    return id;
  }

  /**
   * Waits until the disk has the record of a job that runs, or waits: what a Start has answered, the next server
   * finds, also after a power cut. On a full or failing disk the job is killed, and the start taken back.
   */
  async #whenStored(job: ActiveJob): Promise<void> {
    const { active, endings } = this.#parts;
    try {
      await job.stored;
    } catch (error) {
      await endings.kill(job);
      active.forget(job.record.id);
      throw isDiskFull(error)
        ? new JobError("exhausted", KILLED_NO_SPACE, { cause: error })
        : new JobError("precondition", KILLED_DISK_REFUSES, { cause: error });
    }
  }

  /**
   * Which of the jobs that a start is to come after have not ended.
   *
   * @throws {JobError} "precondition" where one of them has ended otherwise than by exiting with 0.
   */
  #activeOf(ids: readonly string[]): string[] {
    const { active, store } = this.#parts;
    return ids.filter((id) => {
      const state = (active.get(id)?.record ?? store.get(id))?.state;
      if (state !== undefined && !hasEnded(state)) return true;
      if (state?.kind === "exited" && state.exitCode === 0) return false;
      throw new JobError(
        "precondition",
        `Cannot start the job: job ${id}, which it is to come after, has not exited with 0`,
      );
    });
  }

  #allowedLimits() {
    const { limitsFolder, maxProcesses } = this.#parts;
    return {
      ...readLimits(limitsFolder),
      ...(Number.isFinite(maxProcesses) ? { processes: maxProcesses } : {}),
    };
  }
}
