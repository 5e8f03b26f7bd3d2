/** Stops jobs on this host: the stop signal, the grace period, SIGKILL, and that again until they end. */
import type { Clock } from "../../common/clock.ts";
import { messageOf } from "../errors.ts";
import type { JobRef, ProcessState, SignalOptions, StopOrder } from "../executor.ts";
import { log } from "../log.ts";
import type { SignalName } from "../../common/signals.ts";

/** How long after a kill that failed (the host may have no process left for it) the next one is sent. */
const KILL_RETRY_MS = 500;

/**
 * How long after a kill a job that has not ended is killed again: a process may have forked its way out,
 * or be stuck in the kernel (on a dead file server, say), or a launcher may have started the job since.
 */
const KILL_AGAIN_MS = 5000;

/**
 * A kill is enough for all who ask for one until this long after it began, or until it is done: hundreds
 * of Stops at once would otherwise keep the one shell that sends signals from other jobs.
 */
const KILL_SHARED_MS = 500;

/** What {@linkcode Stopping} works with. */
export interface StoppingParts {
  readonly clock: Clock;
  /** Sends the processes of a job a signal that asks them to end. */
  terminate(job: JobRef, signal: SignalName, options: SignalOptions): Promise<void>;
  /** Kills every process of a job. */
  kill(job: JobRef): Promise<void>;
  /** Which processes of a job are left. */
  remaining(job: JobRef): Promise<ProcessState[]>;
}

/** A kill that was sent, or is being sent. */
interface Kill {
  readonly beganAtMs: number;
  isUnderWay: boolean;
  /** Settles when it has been sent, or has failed and will be repeated. */
  readonly done: Promise<void>;
}

/** A job that has not ended. */
interface Entry {
  /** When SIGKILL is due; undefined: it is not being stopped. */
  killAtMs?: number;
  /** Cancels the timer of the next kill. */
  cancel: () => void;
  lastKill?: Kill | undefined;
}

/** All jobs that can be stopped. */
export class Stopping {
  readonly #parts: StoppingParts;
  readonly #jobs = new Map<string, Entry>();

  constructor(parts: StoppingParts) {
    this.#parts = parts;
  }

  /**
   * Adds a job.
   *
   * @param ended Nothing is sent to the job once this has settled. Where it rejects (nobody can tell how
   * the job ended), a stop goes on.
   */
  watch(jobId: string, ended: Promise<unknown>): void {
    if (!this.#jobs.has(jobId)) this.#jobs.set(jobId, { cancel: () => {} });
    ended.then(() => this.forget(jobId), () => {});
  }

  /** Sends nothing to a job any more: it has ended. */
  forget(jobId: string): void {
    this.#jobs.get(jobId)?.cancel();
    this.#jobs.delete(jobId);
  }

  /** See {@linkcode Executor.stop}. */
  async stop(job: JobRef, { signal, killAtMs, mainOnly }: StopOrder): Promise<void> {
    const entry = this.#jobs.get(job.jobId);
    if (entry === undefined) return;
    const isFirst = entry.killAtMs === undefined;
    entry.killAtMs = Math.min(killAtMs, entry.killAtMs ?? Infinity);
    const graceMs = entry.killAtMs - this.#parts.clock.nowMs();
    if (graceMs <= 0) return await this.#kill(job);
    this.#killLater(job, graceMs);
    if (!isFirst) return;
    try {
      await this.#parts.terminate(job, signal, { mainOnly });
    } catch (error) {
      // SIGKILL follows in any case.
      log.error("cannot send a job its stop signal", {
        job: job.jobId,
        error: messageOf(error),
      });
    }
  }

  /** Forgets all jobs. They go on. */
  close(): void {
    for (const jobId of [...this.#jobs.keys()]) this.forget(jobId);
  }

  #killLater(job: JobRef, delayMs: number, then: () => void = () => {}): void {
    const entry = this.#jobs.get(job.jobId);
    if (entry === undefined) return;
    entry.cancel();
    entry.cancel = this.#parts.clock.after(delayMs, () => {
      void this.#kill(job);
      then();
    });
  }

  async #kill(job: JobRef): Promise<void> {
    const entry = this.#jobs.get(job.jobId);
    if (entry === undefined) return;
    const beganAtMs = this.#parts.clock.nowMs();
    const { lastKill: last } = entry;
    if (last?.isUnderWay === true) return await last.done;
    // The host's clock may have been set back.
    if (last !== undefined && Math.abs(beganAtMs - last.beganAtMs) < KILL_SHARED_MS) return;
    const kill: Kill = { beganAtMs, isUnderWay: true, done: this.#sendKill(job, entry) };
    entry.lastKill = kill;
    await kill.done;
    kill.isUnderWay = false;
  }

  async #sendKill(job: JobRef, entry: Entry): Promise<void> {
    entry.cancel();
    try {
      await this.#parts.kill(job);
    } catch (error) {
      entry.lastKill = undefined;
      if (!this.#jobs.has(job.jobId)) return;
      log.error("cannot kill a job, trying again", { job: job.jobId, error: messageOf(error) });
      this.#killLater(job, KILL_RETRY_MS);
      return;
    }
    this.#killLater(job, KILL_AGAIN_MS, () => void this.#warnOfRemains(job));
  }

  /** Tells who keeps a job from its end: a process in state D, say, waits for a file server that is dead. */
  async #warnOfRemains(job: JobRef): Promise<void> {
    const remaining = await this.#parts.remaining(job).catch(() => []);
    log.warn("a job has not ended although it was killed, killing it again", {
      job: job.jobId,
      processes: remaining.map(({ pid, state }) => `${pid} (${state})`).join(", ") || "unknown",
    });
  }
}
