/** How jobs come to an end: by themselves, by a Stop or by their timeout; and the record of it. */
import { JobError, messageOf } from "../errors.ts";
import type { AdoptionRequest, Executor, Running, SignalOptions } from "../executor.ts";
import { log } from "../log.ts";
import type { OutputLog } from "../logs.ts";
import type { Ending } from "../model/ending.ts";
import type { JobRecord } from "../model/record.ts";
import { DEFAULT_SETTINGS, MAX_GRACE_MS } from "../model/settings.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import { type Clock, LONGEST_TIMER_MS } from "./clock.ts";
import type { JobFolders } from "./folder.ts";
import { sizeOf } from "./rotate.ts";

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

/** How long after the executor failed to tell how a job ended it is asked again. */
const ENDING_RETRY_MS = 1000;

/** What {@linkcode Endings} works with. */
export interface EndingParts {
  readonly executor: Executor;
  readonly active: ActiveJobs;
  readonly folders: JobFolders;
  readonly clock: Clock;
  /** The last rotation of a job's output; must not reject. */
  readonly rotate: (job: ActiveJob) => Promise<void>;
  /** Brings a job's output to the disk. */
  readonly syncOutput: (output: OutputLog) => Promise<void>;
  /** Between the stop signal and SIGKILL, unless a Stop or the job's settings say another. */
  readonly graceMs: number;
}

/** How a job is stopped, and by whom. */
export interface StopOptions extends SignalOptions {
  /** The common name of the caller's certificate. */
  readonly stoppedBy?: string;
  /** Milliseconds between the stop signal and SIGKILL. */
  readonly graceMs?: number | undefined;
}

/** A kill that was sent, or is being sent. */
interface Kill {
  readonly beganAtMs: number;
  isUnderWay: boolean;
  /** Settles when it has been sent, or has failed and will be repeated. */
  readonly done: Promise<void>;
}

/** Watches jobs until they have ended, and ends them. */
export class Endings {
  readonly #parts: EndingParts;
  /** What cancels the timers, by job id. */
  readonly #kills = new Map<string, () => void>();
  readonly #timeouts = new Map<string, () => void>();
  /** The last kill of each job that has not ended, by job id. */
  readonly #lastKills = new Map<string, Kill>();

  constructor(parts: EndingParts) {
    this.#parts = parts;
  }

  /**
   * Makes a job that runs an active one, records that it runs, and its end when it comes.
   *
   * @param startedAtMs Where the record does not say it yet.
   */
  watch(
    record: JobRecord,
    { pid, ended }: Running,
    startedAtMs: number,
  ): ActiveJob {
    const { active, folders } = this.#parts;
    const job = active.add(record, {
      output: folders.outputOf(record, { finished: false }),
      whenEnded: (added) => this.#recordEnd(added, ended),
    });
    if (record.state.kind === "starting") {
      void active.change(record.id, { kind: "running", pid, startedAtMs });
    }
    this.#startTimeout(job);
    return job;
  }

  /**
   * Stops a job: its stop signal, the grace period, SIGKILL. Settles when none of its processes is left,
   * and its record says so. The processes are ended at once, whatever the disk does.
   *
   * @param options `graceMs`: 0 sends SIGKILL at once; undefined is the job's own, or the server's. A
   * second Stop may make the grace period shorter, and never longer. `mainOnly`: the stop signal goes to
   * the main process alone. `timedOut`, `stoppedBy`: the reason; that of the first Stop is kept.
   * @throws {JobError} "invalid" for a grace period above an hour.
   */
  async stop(
    job: ActiveJob,
    options: StopOptions & { readonly timedOut?: true } = {},
  ): Promise<void> {
    const { active, clock } = this.#parts;
    const { record: { id, state, settings } } = job;
    const { graceMs = settings?.graceMs ?? this.#parts.graceMs, mainOnly, ...reason } = options;
    if (graceMs > MAX_GRACE_MS) {
      throw new JobError("invalid", `Cannot stop job ${id}: the grace period is above an hour`);
    }
    const killAtMs = clock.nowMs() + graceMs;
    if (state.kind === "running") {
      void active.change(id, {
        ...state,
        kind: "stopping",
        killAtMs,
        ...(mainOnly === true && { mainOnly }),
      }, reason);
    } else if (state.kind === "stopping" && killAtMs < state.killAtMs) {
      void active.change(id, { ...state, killAtMs });
    }
    await this.endProcesses(job, { terminate: state.kind === "running" });
    await job.ended;
  }

  /** Kills a job. Settles when none of its processes is left. */
  async kill(job: ActiveJob): Promise<void> {
    await this.#kill(job);
    await job.ended;
  }

  /**
   * Sends a job that is being stopped its stop signal, and SIGKILL when its grace period is over.
   *
   * @param options `terminate`: whether the stop signal is sent.
   */
  async endProcesses(
    job: ActiveJob,
    { terminate }: { readonly terminate: boolean },
  ): Promise<void> {
    const { executor, clock } = this.#parts;
    const { id, state, settings = DEFAULT_SETTINGS } = job.record;
    if (state.kind !== "stopping" || job.isOver) return;
    const graceMs = state.killAtMs - clock.nowMs();
    if (graceMs <= 0) return await this.#kill(job);
    this.#killLater(job, graceMs);
    if (!terminate) return;
    try {
      await executor.terminate(this.#target(job), settings.stopSignal, {
        mainOnly: state.mainOnly,
      });
    } catch (error) {
      // SIGKILL follows in any case.
      log.error("cannot send a job its stop signal", { job: id, error: messageOf(error) });
    }
  }

  #killLater(job: ActiveJob, delayMs: number): void {
    const { id } = job.record;
    cancel(this.#kills, id);
    this.#kills.set(id, this.#parts.clock.after(delayMs, () => void this.#kill(job)));
  }

  async #kill(job: ActiveJob): Promise<void> {
    const { id } = job.record;
    const beganAtMs = this.#parts.clock.nowMs();
    const last = this.#lastKills.get(id);
    if (last?.isUnderWay === true) return await last.done;
    // The host's clock may have been set back.
    if (last !== undefined && Math.abs(beganAtMs - last.beganAtMs) < KILL_SHARED_MS) return;
    const kill: Kill = { beganAtMs, isUnderWay: true, done: this.#sendKill(job) };
    this.#lastKills.set(id, kill);
    await kill.done;
    kill.isUnderWay = false;
  }

  async #sendKill(job: ActiveJob): Promise<void> {
    const { id } = job.record;
    cancel(this.#kills, id);
    try {
      await this.#parts.executor.kill(this.#target(job));
    } catch (error) {
      this.#lastKills.delete(id);
      if (job.isOver) return;
      log.error("cannot kill a job, trying again", { job: id, error: messageOf(error) });
      this.#killLater(job, KILL_RETRY_MS);
      return;
    }
    if (job.isOver) this.#lastKills.delete(id);
    else this.#killAgain(job);
  }

  #killAgain(job: ActiveJob): void {
    const { id } = job.record;
    cancel(this.#kills, id);
    this.#kills.set(
      id,
      this.#parts.clock.after(KILL_AGAIN_MS, () => {
        void this.#kill(job);
        void this.#warnOfRemains(job);
      }),
    );
  }

  /** Tells who keeps a job from its end: a process in state D, say, waits for a file server that is dead. */
  async #warnOfRemains(job: ActiveJob): Promise<void> {
    const remaining = await this.#parts.executor.remaining(this.#target(job)).catch(() => []);
    log.warn("a job has not ended although it was killed, killing it again", {
      job: job.record.id,
      processes: remaining.map(({ pid, state }) => `${pid} (${state})`).join(", ") || "unknown",
    });
  }

  #target({ record: { id, placement, owner, settings } }: ActiveJob) {
    return { placement, folder: this.#parts.folders.pathOf(id), owner, settings };
  }

  /** Stops a job when its timeout is over; an adopted one may be beyond it, and is stopped at once. */
  #startTimeout(job: ActiveJob): void {
    const { clock } = this.#parts;
    const { id, state, settings = DEFAULT_SETTINGS } = job.record;
    if (settings.timeoutMs === 0 || state.kind !== "running") return;
    const leftMs = Math.max(0, state.startedAtMs + settings.timeoutMs - clock.nowMs());
    const isLast = leftMs <= LONGEST_TIMER_MS;
    this.#timeouts.set(
      id,
      clock.after(
        isLast ? leftMs : LONGEST_TIMER_MS,
        () => isLast ? this.#stopAtTimeout(job) : this.#startTimeout(job),
      ),
    );
  }

  #stopAtTimeout(job: ActiveJob): void {
    const { id, state, settings } = job.record;
    if (state.kind !== "running") return;
    log.info("a job's timeout is over", { job: id, timeoutMs: settings?.timeoutMs });
    this.stop(job, { timedOut: true }).catch((error: unknown) =>
      log.error("cannot stop a job", { job: id, error: messageOf(error) })
    );
  }

  async #recordEnd(job: ActiveJob, ended: Promise<Ending>): Promise<void> {
    const { active, rotate } = this.#parts;
    const { id } = job.record;
    const ending = await this.#endingOf(job, ended);
    const unwrittenBytes = ending.kind === "exited" ? ending.unwrittenBytes ?? 0 : 0;
    // At once: a stuck disk must neither take room from other jobs, nor let a kill go on.
    active.setOver(job);
    cancel(this.#timeouts, id);
    cancel(this.#kills, id);
    this.#lastKills.delete(id);
    await rotate(job);
    await this.#syncOutput(job);
    const { state } = job.record;
    if (state.kind !== "running" && state.kind !== "stopping") return;
    const { pid, startedAtMs } = state;
    // The server sets the time of the start a moment after it; a short job has ended by then.
    const endedAtMs = Math.max(ending.endedAtMs, startedAtMs);
    const { bytes, diskBytes } = sizeOf(job.output);
    const outputBytes = bytes + unwrittenBytes;
    await active.change(id, { pid, startedAtMs, ...ending, endedAtMs }, { diskBytes, outputBytes });
    job.output.finish(outputBytes);
    log.info("job ended", {
      job: id,
      state: ending.kind,
      ...(ending.kind === "exited"
        ? { exitCode: ending.exitCode, signal: ending.signal, oomKilled: ending.oomKilled }
        : { reason: ending.reason }),
    });
  }

  /**
   * Before the end is on record: whoever is told of it can rely on the output, also after a power cut.
   * What the disk refuses is told, and does not keep the end from being recorded.
   */
  async #syncOutput({ record: { id }, output }: ActiveJob): Promise<void> {
    try {
      await this.#parts.syncOutput(output);
    } catch (error) {
      log.error("cannot bring a job's output to the disk", { job: id, error: messageOf(error) });
    }
  }

  /** Where the executor fails to tell (the host may be out of processes or files), it is asked again. */
  async #endingOf(job: ActiveJob, ended: Promise<Ending>): Promise<Ending> {
    const { clock } = this.#parts;
    for (let answer = ended;; answer = this.#askAgain(job.record)) {
      try {
        return await answer;
      } catch (error) {
        log.error("cannot tell how a job ended, trying again", {
          job: job.record.id,
          error: messageOf(error),
        });
        await new Promise<void>((resolve) => clock.after(ENDING_RETRY_MS, resolve));
      }
    }
  }

  async #askAgain(record: JobRecord): Promise<Ending> {
    const { executor, folders, clock } = this.#parts;
    const adoption = (await executor.adopt([toAdoptionRequest(record, folders)])).get(record.id);
    if (adoption?.kind === "running") return await adoption.ended;
    return adoption?.kind === "ended" ? adoption.ending : filesLost(clock.nowMs());
  }
}

/** What the executor is asked about a job that it may no longer know of. */
export function toAdoptionRequest(
  { id, placement, state }: JobRecord,
  folders: JobFolders,
): AdoptionRequest {
  return {
    jobId: id,
    placement,
    folder: folders.pathOf(id),
    wasRunning: state.kind !== "starting",
  };
}

/** The ending of a job that has run, and of which the executor finds nothing. */
export function filesLost(endedAtMs: number): Ending {
  return { kind: "lost", reason: "the job's files were damaged or removed on the host", endedAtMs };
}

function cancel(timers: Map<string, () => void>, id: string): void {
  timers.get(id)?.();
  timers.delete(id);
}
