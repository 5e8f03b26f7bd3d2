/**
 * Starts that Slurm has not taken: its controller was not reached, takes no job now, or has not answered. They wait,
 * and are handed over again, one after the other, once an answer of the controller's shows that it does not have
 * them. Should it carry out an earlier submission all the same, the launch record lets one of the two begin.
 */
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import { log } from "../../log.ts";
import type { QueueAnswer } from "./queue.ts";
import type { Submission } from "./submission.ts";
import type { TrackedJob, TrackedRequest } from "./tracked_job.ts";

/** A start that Slurm has not taken for so long, since a server that runs knows of it, is given up. */
export const MAX_WAIT_MS = 600_000;

/** How often a job is handed over where each time it may have been taken: each may be one more in the queue. */
export const MAX_DOUBTFUL_TRIES = 5;

/** After a failure all wait for so long at least, and twice as long after the next. */
const MIN_PAUSE_MS = 2000;

const MAX_PAUSE_MS = 60_000;

/** Each costs a look at the share, and has a turn of its own. */
const MAX_WAITING = 1000;

/** Why a start waits. */
export interface Failure {
  /** In Slurm's words. */
  readonly problem: string;
  /** Whether Slurm may have taken it all the same. */
  readonly mayBeTaken: boolean;
}

interface Waiting {
  readonly job: TrackedJob;
  readonly cancelTimeout: () => void;
  problem: string;
  /** How often it was handed over, its start included; and how often it may have been taken. */
  tries: number;
  doubtfulTries: number;
  /** Only an answer to a later question tells whether Slurm has it. */
  failedAtMs: number;
}

/** What {@linkcode Resubmissions} works with. */
export interface ResubmissionParts {
  readonly clock: Clock;
  /** Hands a job over. */
  readonly submit: (request: TrackedRequest) => Promise<Submission>;
  /** Called when a job does not wait any more. */
  readonly onSettled: (request: TrackedRequest) => void;
  /** Takes what Slurm has of a job that has ended out of its queue. */
  readonly cancelLater: (request: TrackedRequest) => void;
}

/** The starts that wait. */
export class Resubmissions {
  readonly #parts: ResubmissionParts;
  /** By the job's id, in the order of their turns. */
  readonly #waiting = new Map<string, Waiting>();
  #isAtWork = false;
  #underWay: Waiting | undefined;
  #answeredAtMs = -Infinity;
  #nextTryAtMs = -Infinity;
  #pauseMs = 0;

  constructor(parts: ResubmissionParts) {
    this.#parts = parts;
  }

  /** Whether no more starts may wait. */
  get isFull(): boolean {
    return this.#waiting.size >= MAX_WAITING;
  }

  /** Has a job handed over again, unless it has ended by then, or Slurm has it. */
  add(job: TrackedJob, { problem, mayBeTaken }: Failure): void {
    const { clock, cancelLater } = this.#parts;
    const { jobId } = job.request;
    const nowMs = clock.nowMs();
    const cancelTimeout = clock.after(MAX_WAIT_MS, () => {
      const waiting = this.#waiting.get(jobId);
      const minutes = MAX_WAIT_MS / 60_000;
      if (waiting !== undefined) void this.#giveUp(waiting, `for ${minutes} minutes`);
    });
    const doubtfulTries = mayBeTaken ? 1 : 0;
    const waiting = { job, cancelTimeout, problem, tries: 1, doubtfulTries, failedAtMs: nowMs };
    this.#waiting.set(jobId, waiting);
    this.#nextTryAtMs = Math.max(this.#nextTryAtMs, nowMs + MIN_PAUSE_MS);
    log.warn("Slurm has not taken a job: it is handed over again", { job: jobId, error: problem });
    void job.ended.then(() => {
      this.#settle(waiting);
      // Of two in the queue one may still wait when the other has run.
      if (waiting.doubtfulTries > 0) cancelLater(job.request);
    });
  }

  /** Why a job waits; undefined: it does not wait here. */
  reasonOf(jobId: string): string | undefined {
    const waiting = this.#waiting.get(jobId);
    return waiting &&
      `Slurm has not taken it yet (${waiting.problem}); it is handed over again (tries: ${waiting.tries})`;
  }

  /** To be called with each answer of the controller's. */
  hear({ asOfMs, jobs }: QueueAnswer): void {
    this.#answeredAtMs = asOfMs;
    for (const [jobId, waiting] of this.#waiting) {
      const found = jobs.get(jobId);
      if (found !== undefined && waiting !== this.#underWay) this.#settle(waiting, found.number);
    }
    void this.#handOver();
  }

  /** To be called when Slurm has taken another job: it takes jobs again. */
  hurry(): void {
    this.#nextTryAtMs = -Infinity;
    this.#pauseMs = 0;
    void this.#handOver();
  }

  /** Waits no more. What waits is still kept for a later server. */
  close(): void {
    for (const { cancelTimeout } of this.#waiting.values()) cancelTimeout();
    this.#waiting.clear();
  }

  /** One at a time: a controller that takes none has only one asked for. */
  async #handOver(): Promise<void> {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    const { clock } = this.#parts;
    while (clock.nowMs() >= this.#nextTryAtMs) {
      const next = [...this.#waiting.values()].find(({ failedAtMs }) =>
        failedAtMs < this.#answeredAtMs
      );
      if (next === undefined) break;
      this.#underWay = next;
      const isDone = await this.#try(next);
      this.#underWay = undefined;
      this.#pauseMs = isDone
        ? 0
        : Math.min(Math.max(MIN_PAUSE_MS, 2 * this.#pauseMs), MAX_PAUSE_MS);
      this.#nextTryAtMs = clock.nowMs() + this.#pauseMs;
    }
    this.#isAtWork = false;
  }

  /** @returns Whether the next one has its turn at once. */
  async #try(waiting: Waiting): Promise<boolean> {
    const { job } = waiting;
    const { jobId } = job.request;
    try {
      // The launch record knows best; while the share is away, nobody knows.
      await job.look();
    } catch (error) {
      waiting.problem = `the shared file system: ${messageOf(error)}`;
      return false;
    }
    if (this.#waiting.get(jobId) !== waiting) return true;
    if (job.isOver || job.isLaunched || job.isBegun) {
      this.#settle(waiting);
      return true;
    }
    waiting.tries++;
    log.info("a job is handed over to Slurm again", { job: jobId, tries: waiting.tries });
    const submission = await this.#parts.submit(job.request)
      .catch((error: unknown): Submission => ({ kind: "unknown", problem: messageOf(error) }));
    waiting.failedAtMs = this.#parts.clock.nowMs();
    if (this.#waiting.get(jobId) !== waiting) return true;
    if (submission.kind === "taken") {
      this.#settle(waiting, submission.number);
      return true;
    }
    if (submission.kind === "refused") {
      await this.#withdraw(waiting, submission.error.message);
      return true;
    }
    waiting.problem = submission.problem;
    if (submission.kind === "later" && !submission.mayBeTaken) return false;
    waiting.doubtfulTries++;
    // Another job's turn: what fails may be this one's own.
    this.#waiting.delete(jobId);
    this.#waiting.set(jobId, waiting);
    if (waiting.doubtfulTries >= MAX_DOUBTFUL_TRIES) {
      await this.#giveUp(waiting, `in ${waiting.doubtfulTries} tries`);
    }
    return false;
  }

  async #giveUp(waiting: Waiting, how: string): Promise<void> {
    await this.#withdraw(waiting, `Slurm has not taken it ${how}: ${waiting.problem}`);
  }

  async #withdraw(waiting: Waiting, reason: string): Promise<void> {
    const { job } = waiting;
    try {
      if (!job.isOver) await job.withdraw(reason);
    } catch (error) {
      log.error("cannot take a start back, its end is told later", {
        job: job.request.jobId,
        error: messageOf(error),
      });
    }
    // Where something has begun it, or the share is away, what Slurm and the launch record say decides.
    this.#settle(waiting);
  }

  /** @param number Slurm's number of the job, where it is known. */
  #settle(waiting: Waiting, number?: string): void {
    const { job, cancelTimeout } = waiting;
    cancelTimeout();
    if (!this.#waiting.delete(job.request.jobId)) return;
    if (!job.isOver) job.setTaken(number);
    this.#parts.onSettled(job.request);
  }
}
