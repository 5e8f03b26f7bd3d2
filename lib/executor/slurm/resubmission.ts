/**
 * Starts whose sbatch did not reach Slurm's controller: no connection was made, so that it certainly has not taken
 * the job. They wait, and are handed over again when it answers. Any other failure is not repeated: a controller
 * that has heard of a job may still carry it out.
 */
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import { log } from "../../log.ts";
import type { QueueAnswer } from "./queue.ts";
import type { Submission } from "./submission.ts";
import type { TrackedJob } from "./tracked_job.ts";

/** A controller that is away for longer is not waited for. */
export const MAX_AWAY_MS = 600_000;

/** How often a job is handed over, its start included. */
export const MAX_TRIES = 5;

/** Each keeps its batch script in memory. */
const MAX_WAITING = 1000;

interface Waiting {
  readonly job: TrackedJob;
  /** Hands it over. */
  readonly submit: () => Promise<Submission>;
  readonly cancelTimeout: () => void;
  tries: number;
  /** When it was seen last that the controller is away. */
  failedAtMs: number;
  isUnderWay: boolean;
}

/** The starts that wait for the controller. */
export class Resubmissions {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether no more starts may wait. */
  get isFull(): boolean {
    return this.#waiting.size >= MAX_WAITING;
  }

  /** Has a job handed over when the controller answers, unless it has ended by then. */
  add(job: TrackedJob, submit: () => Promise<Submission>): void {
    const { jobId } = job.request;
    const failedAtMs = this.#clock.nowMs();
    const cancelTimeout = this.#clock.after(MAX_AWAY_MS, () => {
      const minutes = MAX_AWAY_MS / 60_000;
      void this.#giveUp(jobId, `Slurm's controller was not reached for ${minutes} minutes`);
    });
    const waiting = { job, submit, cancelTimeout, tries: 1, failedAtMs, isUnderWay: false };
    this.#waiting.set(jobId, waiting);
    log.warn("Slurm's controller is not reached: a job is handed over when it answers", {
      job: jobId,
    });
  }

  /** Why a job waits; undefined: not for the controller. */
  reasonOf(jobId: string): string | undefined {
    const waiting = this.#waiting.get(jobId);
    return waiting &&
      `Slurm's controller is not reached; handed over again when it answers (${waiting.tries} of ` +
        `${MAX_TRIES} tries)`;
  }

  /** To be called with each answer of the controller's. */
  hear({ asOfMs }: QueueAnswer): void {
    for (const waiting of this.#waiting.values()) {
      if (!waiting.isUnderWay && asOfMs > waiting.failedAtMs) void this.#try(waiting);
    }
  }

  /** Waits no more. */
  close(): void {
    for (const { cancelTimeout } of this.#waiting.values()) cancelTimeout();
    this.#waiting.clear();
  }

  async #try(waiting: Waiting): Promise<void> {
    const { job, submit } = waiting;
    const { jobId } = job.request;
    if (job.isOver) return this.#remove(jobId);
    if (job.isLaunched || job.isBegun) {
      this.#remove(jobId);
      return job.setTaken();
    }
    waiting.isUnderWay = true;
    waiting.tries++;
    log.info("a job is handed over to Slurm again", { job: jobId, tries: waiting.tries });
    const submission = await submit().catch((error: unknown): Submission => ({
      kind: "unknown",
      problem: messageOf(error),
      wasHeard: true,
    }));
    waiting.isUnderWay = false;
    waiting.failedAtMs = this.#clock.nowMs();
    if (!this.#waiting.has(jobId)) return;
    if (submission.kind === "taken") {
      this.#remove(jobId);
      job.setTaken(submission.number);
    } else if (submission.kind === "refused") {
      await this.#giveUp(jobId, submission.error.message);
    } else if (submission.wasHeard) {
      // It may have been taken: what Slurm says from now on decides, and nothing is repeated.
      log.warn("sbatch has failed", { job: jobId, error: submission.problem });
      this.#remove(jobId);
      job.setTaken();
    } else if (waiting.tries >= MAX_TRIES) {
      await this.#giveUp(jobId, `Slurm's controller was not reached in ${MAX_TRIES} tries`);
    }
  }

  async #giveUp(jobId: string, reason: string): Promise<void> {
    const job = this.#waiting.get(jobId)?.job;
    this.#remove(jobId);
    if (job === undefined) return;
    try {
      if (!job.isOver && await job.withdraw(reason)) return;
    } catch (error) {
      log.error("cannot take a start back, its end is told later", {
        job: jobId,
        error: messageOf(error),
      });
    }
    // Something has begun it, or the share is away: what Slurm and the launch record say decides.
    job.setTaken();
  }

  #remove(jobId: string): void {
    this.#waiting.get(jobId)?.cancelTimeout();
    this.#waiting.delete(jobId);
  }
}
