/** Changes of the limits of running jobs. */
import { isDiskFull, JobError, messageOf, NO_SPACE } from "../errors.ts";
import type { Executor, LimitName } from "../executor.ts";
import { LIMIT_NAMES, type LimitPurpose, type Limits } from "../limits.ts";
import { log } from "../log.ts";
import { changeLimits, type LimitChange } from "../model/limit_change.ts";
import { type ComingLimits, isRunning, ownLimitsOf } from "../model/record.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import { withDiskNumbers } from "./disk_numbers.ts";
import type { JobFolders } from "./folder.ts";
import { refOf } from "./refs.ts";

/** Who changes limits, and what is called before anything is done. */
export interface UpdateBy {
  /** The common name of the caller's certificate. */
  readonly by: string;
  readonly onBegin: () => void;
}

/** What {@linkcode Updates} works with. */
export interface UpdateParts {
  readonly executor: Executor;
  readonly folders: JobFolders;
  readonly active: ActiveJobs;
  /** The limits that no job may go beyond, as they are now. @throws {JobError} Where a limit file is bad. */
  readonly allowedLimits: (purpose: LimitPurpose) => Limits;
}

/**
 * Changes limits. What is coming is on record before the kernel is told, and what holds afterwards: so a
 * server that ends in between leaves to the next one what it has to bring to an end.
 */
export class Updates {
  readonly #parts: UpdateParts;
  /** The last change of each job that has one under way: one comes after the other. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(parts: UpdateParts) {
    this.#parts = parts;
  }

  /** See {@linkcode JobManager.update}. */
  async update(job: ActiveJob, change: LimitChange, { by, onBegin }: UpdateBy): Promise<void> {
    const { updates } = this.#parts.executor.capabilities;
    if (updates !== "possible") {
      throw new JobError("precondition", `Cannot update the job: ${updates.refused}`);
    }
    await this.#inTurn(job, () => this.#update(job, change, { by, onBegin }));
  }

  /** Brings to an end what an earlier server has begun. Never rejects. */
  async settle(job: ActiveJob): Promise<void> {
    if (job.record.comingLimits === undefined) return;
    await this.#inTurn(job, () => this.#settle(job)).catch((error: unknown) =>
      log.error("cannot look after a job's limits", { job: job.record.id, error: messageOf(error) })
    );
  }

  async #update(job: ActiveJob, change: LimitChange, { by, onBegin }: UpdateBy): Promise<void> {
    const { allowedLimits, executor } = this.#parts;
    const allowed = allowedLimits("update the job");
    const limits = await withDiskNumbers(change.limits, executor, "update the job");
    await this.#settle(job);
    const { record } = job;
    if (record.comingLimits !== undefined) throw new JobError("precondition", UNSETTLED);
    const has = { limits: record.limits, ownLimits: ownLimitsOf(record) };
    const { names, ...coming } = changeLimits({ ...change, limits }, has, allowed);
    requireRunning(job);
    onBegin();
    try {
      this.#parts.active.announceLimits(job, coming);
    } catch (error) {
      throw isDiskFull(error) ? new JobError("exhausted", NO_SPACE, { cause: error }) : error;
    }
    await this.#set(job, coming, { names, by });
  }

  /** Forward, as the caller wanted it, who had no answer; back where the kernel refuses that. */
  async #settle(job: ActiveJob): Promise<void> {
    const { active } = this.#parts;
    const { id, limits, comingLimits } = job.record;
    if (comingLimits === undefined || !isRunning(job.record.state)) return;
    const former = { limits, ownLimits: ownLimitsOf(job.record) };
    try {
      // Who wanted it was told with the server that has ended, or is not known any more.
      const all = { names: ALL_LIMITS, by: "" };
      await this.#set(job, comingLimits, all).catch(() => this.#set(job, former, all));
      log.info("a change of a job's limits is brought to its end", { job: id });
    } catch (error) {
      active.announceLimits(job, comingLimits);
      log.error("it is not known which limits a job has: update it", {
        job: id,
        error: messageOf(error),
      });
    }
  }

  async #set(
    job: ActiveJob,
    { limits, ownLimits }: ComingLimits,
    { names, by }: { readonly names: ReadonlySet<LimitName>; readonly by: string },
  ): Promise<void> {
    const { executor, folders, active } = this.#parts;
    try {
      const held = await executor.update(refOf(job.record, folders), { limits, names });
      await active.setLimits(job, { limits: held, ownLimits }, by);
    } catch (error) {
      // The kernel has refused, and holds what it held: nothing is coming any more.
      if (error instanceof JobError && error.kind !== "internal") await active.setLimits(job, {});
      throw error;
    }
  }

  async #inTurn(job: ActiveJob, action: () => Promise<void>): Promise<void> {
    const { id } = job.record;
    const before = this.#last.get(id) ?? Promise.resolve();
    const after = before.then(action);
    const settled = after.catch(() => {}); // Its own caller is told.
    this.#last.set(id, settled);
    try {
      await after;
    } finally {
      if (this.#last.get(id) === settled) this.#last.delete(id);
    }
  }
}

const UNSETTLED =
  "Cannot update the job: the kernel has not answered to an earlier change of its limits, " +
  "and which ones hold is not known; try again later";

const ALL_LIMITS: ReadonlySet<LimitName> = new Set(LIMIT_NAMES);

function requireRunning({ record: { state }, isOver }: ActiveJob): void {
  if (isRunning(state) && !isOver) return;
  const problem = isOver || state.kind === "stopping" ? "is ending" : "has not begun";
  throw new JobError("precondition", `Cannot update the job: it ${problem}`);
}
