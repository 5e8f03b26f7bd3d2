/**
 * Stops a job of the engine's: one that waits is taken back, one that runs is stopped by the listener beside its
 * launcher, which sends the signal, times the grace period and kills, also while no server runs.
 */
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import type { StopOrder } from "../../executor.ts";
import { log } from "../../log.ts";
import type { Order, OrderAnswer } from "./control.ts";
import { STOPPED_BEFORE } from "./node_record.ts";
import type { TrackedJob } from "./tracked_job.ts";

/** What stopping works with. */
export interface StoppingParts {
  readonly clock: Clock;
  /** Tells the job's listener. @returns undefined: it has not answered in time. */
  readonly tell: (job: TrackedJob, order: Order) => Promise<OrderAnswer | undefined>;
  /** Has the engine end it, by its own means. */
  readonly cancel: (job: TrackedJob) => Promise<void>;
}

/** How long after an order that nobody has answered the next one is sent. */
const RETRY_MS = 1000;

/** The same while a launcher is about to write its first line. */
const SOON_MS = 100;

/** How long after SIGKILL was due it is sent again: a process may be stuck in the kernel. */
const KILL_AGAIN_MS = 5000;

/** Where the listener is silent for so long after SIGKILL was due, the engine is asked to end the job. */
const CANCEL_AFTER_MS = 30_000;

/** The stop of one job. */
export class Stopping {
  readonly #job: TrackedJob;
  readonly #parts: StoppingParts;
  #order: StopOrder;
  /** When the listener sends SIGKILL by itself; undefined: it knows of no stop. */
  #nodeKillsAtMs: number | undefined;
  #isCancelled = false;
  #hasFailed = false;
  #endPause: (() => void) | undefined;

  constructor(job: TrackedJob, order: StopOrder, parts: StoppingParts) {
    this.#job = job;
    this.#order = order;
    this.#parts = parts;
  }

  /** Makes SIGKILL come earlier. */
  hasten({ killAtMs }: StopOrder): void {
    if (killAtMs >= this.#order.killAtMs) return;
    this.#order = { ...this.#order, killAtMs };
    this.#endPause?.();
  }

  /**
   * Stops the job, until it has ended.
   *
   * @param onFirst Called when what was due at once is done.
   */
  async run(onFirst: () => void): Promise<void> {
    while (!this.#job.isOver) {
      let pauseMs = RETRY_MS;
      try {
        pauseMs = await this.#step();
        this.#hasFailed = false;
      } catch (error) {
        this.#tellFailure(error);
      }
      onFirst();
      if (!this.#job.isOver) await this.#pause(pauseMs);
    }
    onFirst();
  }

  /** @returns Milliseconds until the next step. */
  async #step(): Promise<number> {
    if (!this.#job.isBegun && await this.#job.withdraw(STOPPED_BEFORE)) return 0;
    const { clock, tell } = this.#parts;
    const { signal, killAtMs, mainOnly = false } = this.#order;
    const leftMs = killAtMs - clock.nowMs();
    if (this.#nodeKillsAtMs !== undefined) {
      const isNodes = this.#nodeKillsAtMs <= killAtMs;
      // The signal is not repeated: a stop that was brought forward is told when SIGKILL is due.
      if (!isNodes && leftMs > 0) return leftMs;
      // The listener kills by itself. What follows is for a process that the kernel holds.
      if (isNodes && leftMs > -KILL_AGAIN_MS) return leftMs + KILL_AGAIN_MS;
    }
    // A script that has not come so far dies of being woken: it has its order when it has.
    if (!this.#job.isLaunched) {
      this.#job.hurry();
      return SOON_MS;
    }
    const isKill = leftMs <= 0;
    let answer: OrderAnswer | undefined;
    try {
      answer = await tell(
        this.#job,
        isKill ? { kind: "kill" } : { kind: "stop", signal, graceMs: leftMs, mainOnly },
      );
    } finally {
      // Slurm refuses to signal a job that it has suspended, or holds to run it again: it can only end it.
      if (answer === undefined && leftMs < -CANCEL_AFTER_MS) await this.#cancel();
    }
    this.#job.hurry();
    if (answer === undefined) return RETRY_MS;
    this.#nodeKillsAtMs = killAtMs;
    return isKill ? KILL_AGAIN_MS : Math.max(0, this.#order.killAtMs - clock.nowMs());
  }

  /** The launcher may have been killed: the engine then kills what is left of the job. */
  async #cancel(): Promise<void> {
    if (this.#isCancelled) return;
    log.warn("a job's launcher does not answer: Slurm is asked to end the job", {
      job: this.#job.request.jobId,
    });
    await this.#parts.cancel(this.#job);
    this.#isCancelled = true;
  }

  #tellFailure(error: unknown): void {
    if (!this.#hasFailed) {
      log.error("cannot stop a job, trying again", {
        job: this.#job.request.jobId,
        error: messageOf(error),
      });
    }
    this.#hasFailed = true;
  }

  async #pause(pauseMs: number): Promise<void> {
    const { clock } = this.#parts;
    await new Promise<void>((resolve) => {
      const cancelTimer = clock.after(Math.max(0, pauseMs), resolve);
      this.#endPause = () => {
        cancelTimer();
        resolve();
      };
      void this.#job.ended.then(this.#endPause);
    });
  }
}
