/** Starts of jobs: within the bounds, under a free name, and once for each idempotency key. */
import {
  isDiskFull,
  JobError,
  KILLED_DISK_REFUSES,
  KILLED_NO_SPACE,
  NO_SPACE,
  quoted,
} from "../errors.ts";
import type { Executor } from "../executor.ts";
import { type Limits, narrowLimits } from "../limits.ts";
import type { QueueFile } from "../limits/queue_file.ts";
import { OWNER_UID, type UidRange } from "../model/owner_uids.ts";
import { hasEnded, type JobRecord } from "../model/record.ts";
import { type QueueSettings, waitsOnHost } from "../model/queue.ts";
import {
  checkCommand,
  checkIdempotencyKey,
  type JobRequest,
  requireSameRequest,
} from "../model/request.ts";
import type { JobSecrets } from "../model/settings.ts";
import type { JobStore } from "../store.ts";
import { keepSecrets } from "../store/held_secrets.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import { type JobBounds, type JobCounts, requireRoom, requireRoomToWait } from "./bounds.ts";
import type { Clock } from "../../common/clock.ts";
import type { Endings } from "./endings.ts";
import type { JobFolders } from "./folder.ts";
import type { HeldJobs } from "./held_jobs.ts";
import { refOf } from "./refs.ts";
import { withDiskNumbers } from "./disk_numbers.ts";
import { discardStart, removeJob } from "./removal.ts";

/** What {@linkcode Starts} works with. */
export interface StartParts {
  readonly executor: Executor;
  readonly store: JobStore;
  readonly folders: JobFolders;
  readonly clock: Clock;
  readonly active: ActiveJobs;
  readonly endings: Endings;
  /** Those that wait on this host. */
  readonly held: HeldJobs;
  readonly queues: Pick<QueueFile, "current" | "problem">;
  /** The limits that no job may go beyond, as they are now. @throws {JobError} Where a limit file is bad. */
  readonly allowedLimits: () => Limits;
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

/** A start that has begun and whose job is not active yet. */
interface Beginning {
  readonly owner: string;
  readonly title: string;
  /** Whether it waits on this host, and takes no room. */
  readonly isHeld: boolean;
}

/** Starts jobs. */
export class Starts {
  readonly #parts: StartParts;
  /** By job id. */
  readonly #beginning = new Map<string, Beginning>();
  /** Starts under way, by owner and idempotency key. */
  readonly #keyed = new Map<string, Promise<string>>();

  constructor(parts: StartParts) {
    this.#parts = parts;
  }

  /** See {@linkcode JobManager.start}. */
  async start(request: JobRequest, options: StartOptions): Promise<string> {
    checkCommand(request.command);
    checkIdempotencyKey(options.idempotencyKey);
    await this.#requireQueue(request.settings.queue);
    const limits = await withDiskNumbers(request.limits, this.#parts.executor, "start the job");
    const placed = limits === request.limits ? request : { ...request, limits };
    return await this.#startAs(await this.#withUid(placed, options.owner), options);
  }

  /** @throws {JobError} "invalid" for a queue that this host does not have, with the names of its queues. */
  async #requireQueue({ queue }: QueueSettings = {}): Promise<void> {
    const { executor, queues } = this.#parts;
    if (queue === undefined || executor.capabilities.queues) return;
    const known = await queues.current();
    if (known.has(queue)) return;
    const names = [...known.keys()].join(", ");
    const problem = queues.problem === undefined ? "" : ` (${queues.problem})`;
    throw new JobError(
      "invalid",
      `Cannot start the job: there is no queue ${quoted(queue)}; ` +
        (names === ""
          ? `the server's operator names queues in queues.txt, and has named none${problem}`
          : `the queues are ${names}${problem}`),
    );
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
    const isHeld = !this.#parts.executor.capabilities.queues && waitsOnHost(request.settings.queue);
    const check = isHeld ? requireRoomToWait : requireRoom;
    check(this.#counts(owner, isHeld), owner, this.#parts.bounds);
    // A name is its owner's: nobody learns of others' by it, or keeps them from it.
    const namesake = title === "" ? undefined : this.#namesake(title, owner);
    if (namesake !== undefined) {
      throw new JobError(
        "precondition",
        `Cannot start the job: a job of yours with the name ${title} ` +
          `${namesake.isHeld ? "waits" : "is running"}; stop it, or choose another name`,
      );
    }
    const id = crypto.randomUUID();
    this.#beginning.set(id, { owner, title, isHeld });
    try {
      return await this.#begin(id, request, options);
    } finally {
      this.#beginning.delete(id);
    }
  }

  /** How many jobs run, or wait, or are being started; each job once. */
  #counts(owner: string, isHeld: boolean): JobCounts {
    const { active } = this.#parts;
    const tally = isHeld ? active.held : active.running;
    const starts = [...this.#beginning].filter(([id, start]) =>
      start.isHeld === isHeld && active.get(id) === undefined
    );
    const own = starts.filter(([, start]) => start.owner === owner);
    return { own: tally.of(owner) + own.length, all: tally.size + starts.length };
  }

  /** A job of an owner with a name, that runs, waits, or is being started. */
  #namesake(title: string, owner: string): Pick<Beginning, "isHeld"> | undefined {
    const { active } = this.#parts;
    for (const { record, isOver } of active) {
      const isAlike = record.settings?.title === title && record.owner === owner;
      if (isAlike && !isOver) return { isHeld: active.held.has(record.id) };
    }
    return [...this.#beginning.values()].find((start) =>
      start.title === title && start.owner === owner
    );
  }

  async #begin(
    id: string,
    { command, settings, secrets, limits: askedLimits }: JobRequest,
    { owner, idempotencyKey, onBegin = () => {} }: StartOptions,
  ): Promise<string> {
    const { executor, store, folders, clock, endings, graceMs, allowedLimits } = this.#parts;
    store.requireDisk();
    const limits = narrowLimits(allowedLimits(), askedLimits);
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
      if (this.#beginning.get(id)?.isHeld) {
        await this.#hold(record, { secrets, after });
        return id;
      }
      const tracked = await executor.submit({
        ...refOf(record, folders),
        command,
        secrets,
        limits,
        ...folders.outputFilesOf(record),
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

  /** Lets a job wait on this host, with what it was given on the disk. */
  async #hold(
    record: JobRecord,
    { secrets, after }: { readonly secrets: JobSecrets; readonly after: readonly string[] },
  ): Promise<void> {
    const { folders, clock, endings, held, active } = this.#parts;
    const { id } = record;
    await keepSecrets(folders.pathOf(id), secrets);
    const job = endings.watch(record, held.hold(record, after), clock.nowMs());
    void active.change(id, { kind: "pending", openAfter: after });
    await this.#insistOnRecord(job);
    held.enter(id);
  }

  /**
   * Waits until the disk has the record of a job that runs, or waits: what a Start has answered, the next server
   * finds, also after a power cut. On a full or failing disk the job is killed, and the start taken back.
   */
  async #whenStored(job: ActiveJob): Promise<void> {
    try {
      await this.#insistOnRecord(job);
    } catch (error) {
      throw isDiskFull(error)
        ? new JobError("exhausted", KILLED_NO_SPACE, { cause: error })
        : new JobError("precondition", KILLED_DISK_REFUSES, { cause: error });
    }
  }

  /** @throws What the disk said, when the job has ended and is forgotten. */
  async #insistOnRecord(job: ActiveJob): Promise<void> {
    const { active, endings } = this.#parts;
    try {
      await job.stored;
    } catch (error) {
      await endings.kill(job);
      active.forget(job.record.id);
      throw error;
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
}
