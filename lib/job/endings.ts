/** How jobs come to an end: by themselves, by a Stop or by their timeout; and the record of it. */
import { JobError, messageOf } from "../errors.ts";
import type { Begun, Executor, SignalOptions, Tracked } from "../executor.ts";
import { log } from "../log.ts";
import type { OutputLog } from "../logs.ts";
import type { Ending } from "../model/ending.ts";
import { hasEnded, isRunning, type JobRecord, type JobState, NOT_BEGUN } from "../model/record.ts";
import { STOPPED_WAITING } from "../model/queue.ts";
import { DEFAULT_SETTINGS, MAX_GRACE_MS } from "../model/settings.ts";
import type { ActiveJob, ActiveJobs, ChangeOptions } from "./active_jobs.ts";
import { type Clock, LONGEST_TIMER_MS } from "../../common/clock.ts";
import type { JobFolders } from "./folder.ts";
import type { HeldJobs } from "./held_jobs.ts";
import { refOf, toAdoptionRequest } from "./refs.ts";
import { sizeOf } from "./rotate.ts";

/** How long after the executor failed to tell how a job ended it is asked again. */
const ENDING_RETRY_MS = 1000;

/** What {@linkcode Endings} works with. */
export interface EndingParts {
  readonly executor: Executor;
  readonly active: ActiveJobs;
  readonly folders: JobFolders;
  readonly clock: Clock;
  /** Those that wait on this host. */
  readonly held: Pick<HeldJobs, "stop">;
  /** The last rotation of a job's output; must not reject. */
  readonly rotate: (job: ActiveJob) => Promise<void>;
  /** Ends the sending of a job's input, and frees it; must not reject. */
  readonly closeInput: (record: JobRecord) => Promise<void>;
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

/** Watches jobs until they have ended, and ends them. */
export class Endings {
  readonly #parts: EndingParts;
  /** What cancels the timers of timeouts, by job id. */
  readonly #timeouts = new Map<string, () => void>();

  constructor(parts: EndingParts) {
    this.#parts = parts;
  }

  /**
   * Makes a job that the executor has taken an active one, and records what becomes of it.
   *
   * @param startedAtMs When it has begun, where the executor does not say it.
   */
  watch(record: JobRecord, tracked: Tracked, startedAtMs: number): ActiveJob {
    const { active, folders, executor } = this.#parts;
    const job = active.add(record, {
      output: folders.outputOf(record, { finished: false }),
      errors: folders.errorsOf(record, { finished: false }),
      whenEnded: (added) => this.#follow(added, tracked, startedAtMs),
    });
    if (record.state.kind === "starting" && executor.capabilities.queues) {
      void this.#change(job, { kind: "pending" }, {}, tracked.engineJob);
    }
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
    const { clock } = this.#parts;
    const { record: { id, state, settings } } = job;
    const { graceMs = settings?.graceMs ?? this.#parts.graceMs, mainOnly, ...reason } = options;
    if (graceMs > MAX_GRACE_MS) {
      throw new JobError("invalid", `Cannot stop job ${id}: the grace period is above an hour`);
    }
    const killAtMs = clock.nowMs() + graceMs;
    if (state.kind === "running" || state.kind === "pending") {
      const begun = state.kind === "running" ? state : NOT_BEGUN;
      void this.#change(job, {
        ...begun,
        kind: "stopping",
        killAtMs,
        ...(mainOnly === true && { mainOnly }),
      }, reason);
    } else if (state.kind === "stopping" && killAtMs < state.killAtMs) {
      void this.#change(job, { ...state, killAtMs });
    }
    await this.goOnStopping(job);
    await job.ended;
  }

  /** Kills a job, whatever its state. Settles when none of its processes is left. */
  async kill(job: ActiveJob): Promise<void> {
    await this.#stop(job, { killAtMs: this.#parts.clock.nowMs() });
    await job.ended;
  }

  /** Has a job that is being stopped stopped by the executor. Settles when what was due at once is done. */
  async goOnStopping(job: ActiveJob): Promise<void> {
    const { state } = job.record;
    if (state.kind === "stopping") await this.#stop(job, state);
  }

  async #stop(
    job: ActiveJob,
    { killAtMs, mainOnly }: { readonly killAtMs: number; readonly mainOnly?: true },
  ): Promise<void> {
    const { executor, folders, held } = this.#parts;
    const ref = refOf(job.record, folders);
    const order = { signal: ref.settings.stopSignal, killAtMs, mainOnly };
    if (!held.stop(ref.jobId, order)) await executor.stop(ref, order);
  }

  /** Stops a job when its timeout is over; an adopted one may be beyond it, and is stopped at once. */
  #startTimeout(job: ActiveJob): void {
    const { clock, executor } = this.#parts;
    const { id, state, settings = DEFAULT_SETTINGS } = job.record;
    if (settings.timeoutMs === 0 || state.kind !== "running") return;
    if (executor.capabilities.keepsTime || job.isOver) return;
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

  /** Records that a job has begun, and that it has ended. Never rejects. */
  async #follow(job: ActiveJob, tracked: Tracked, startedAtMs: number): Promise<void> {
    this.#recordBeginOf(job, tracked, startedAtMs);
    await this.#recordEnd(job, await this.#endingOf(job, tracked.ended));
  }

  #recordBeginOf(job: ActiveJob, { whenBegun }: Tracked, startedAtMs: number): void {
    void whenBegun.then((begun) => {
      this.#recordBegin(job, { startedAtMs, ...begun });
      this.#startTimeout(job);
    });
  }

  #recordBegin(
    job: ActiveJob,
    { pid, startedAtMs, node }: Required<Pick<Begun, "startedAtMs">> & Begun,
  ) {
    const { state, createdAtMs } = job.record;
    // The time is that of a file, which on a cluster the job's user can set.
    const beganAtMs = Math.max(startedAtMs, createdAtMs);
    const begun = { pid, startedAtMs: beganAtMs, ...(node === undefined ? {} : { node }) };
    if (state.kind === "starting" || state.kind === "pending") {
      void this.#change(job, { kind: "running", ...begun });
    } else if (state.kind === "running" && state.pid === 0 && pid !== 0) {
      // A record that was made again does not know the process id.
      void this.#change(job, { ...state, pid });
    } else if (state.kind === "stopping" && state.startedAtMs === NOT_BEGUN.startedAtMs) {
      void this.#change(job, { ...state, ...begun });
    }
  }

  async #recordEnd(job: ActiveJob, ending: Ending): Promise<void> {
    const { active, rotate, closeInput } = this.#parts;
    const { id, createdAtMs } = job.record;
    // At once: a stuck disk must neither take room from other jobs, nor let a kill go on.
    active.setOver(job);
    cancel(this.#timeouts, id);
    await closeInput(job.record);
    await rotate(job);
    await this.#syncOutput(job);
    if (hasEnded(job.record.state)) return;
    const { timedOut, ...state } = endedState(job.record.state, ending, createdAtMs);
    const { unwrittenBytes = 0, unwrittenErrorBytes = 0 } = state.kind === "exited" ? state : {};
    const output = sizeOf(job.output);
    const outputBytes = output.bytes + unwrittenBytes;
    const errors = job.errors && sizeOf(job.errors);
    const stderrBytes = errors && errors.bytes + unwrittenErrorBytes;
    await this.#change(job, state, {
      diskBytes: output.diskBytes + (errors?.diskBytes ?? 0),
      outputBytes,
      ...(stderrBytes !== undefined && { stderrBytes }),
      ...(timedOut && { timedOut }),
    });
    job.output.finish(outputBytes);
    job.errors?.finish(stderrBytes);
    log.info("job ended", {
      job: id,
      state: state.kind,
      ...(state.kind === "exited"
        ? { exitCode: state.exitCode, signal: state.signal, oomKilled: state.oomKilled }
        : { reason: state.reason }),
    });
  }

  /** Changes a job's state, and records what the engine has said of the job. */
  async #change(
    job: ActiveJob,
    state: JobState,
    options: ChangeOptions = {},
    engineJob?: string,
  ): Promise<void> {
    const { active, executor } = this.#parts;
    const { id } = job.record;
    const [status] = executor.statuses([id]);
    const engine = status ?? (engineJob === undefined ? undefined : { engineJob, asOfMs: 0 });
    await active.change(id, state, { ...options, ...(engine && { engine }) });
  }

  /**
   * Before the end is on record: whoever is told of it can rely on the output, also after a power cut.
   * What the disk refuses is told, and does not keep the end from being recorded.
   */
  async #syncOutput({ record: { id }, output, errors }: ActiveJob): Promise<void> {
    try {
      await this.#parts.syncOutput(output);
      if (errors !== undefined) await this.#parts.syncOutput(errors);
    } catch (error) {
      log.error("cannot bring a job's output to the disk", { job: id, error: messageOf(error) });
    }
  }

  /** Where the executor fails to tell (the host may be out of processes or files), it is asked again. */
  async #endingOf(job: ActiveJob, ended: Promise<Ending>): Promise<Ending> {
    const { clock } = this.#parts;
    for (let answer = ended;; answer = this.#askAgain(job)) {
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

  async #askAgain(job: ActiveJob): Promise<Ending> {
    const { executor, folders, clock } = this.#parts;
    const { record } = job;
    const adoption = (await executor.adopt([toAdoptionRequest(record, folders)])).get(record.id);
    if (adoption?.kind === "ended") return adoption.ending;
    if (adoption?.kind !== "tracked") return nothingFound(record, clock.nowMs());
    this.#recordBeginOf(job, adoption, record.createdAtMs);
    return await adoption.ended;
  }
}

/** The state of a job that has ended, with whether its timeout ended it. */
function endedState(
  state: Exclude<JobState, { endedAtMs: number }>,
  ending: Ending,
  createdAtMs: number,
): Extract<JobState, { endedAtMs: number }> & { readonly timedOut?: true } {
  const hasBegun = isRunning(state);
  // The server sets the time of the start a moment after it; a short job has ended by then.
  const endedAtMs = Math.max(ending.endedAtMs, hasBegun ? state.startedAtMs : createdAtMs);
  const { pid, startedAtMs, node } = hasBegun ? state : { ...NOT_BEGUN, startedAtMs: createdAtMs };
  const begun = { pid, startedAtMs, ...(node === undefined ? {} : { node }) };
  if (ending.kind !== "never-ran") return { ...begun, ...ending, endedAtMs };
  const { reason } = ending;
  return hasBegun ? { ...begun, kind: "lost", reason, endedAtMs } : { ...ending, endedAtMs };
}

/** The ending of a job of which the executor finds nothing. */
export function nothingFound({ state }: JobRecord, endedAtMs: number): Ending {
  const wasStopped = state.kind === "stopping";
  if (isRunning(state)) {
    const reason = "the job's files were damaged or removed on the host";
    return { kind: "lost", reason, endedAtMs };
  }
  const reason = wasStopped
    ? STOPPED_WAITING
    : "it waited for its turn, and the engine no longer knows it";
  return { kind: "never-ran", reason, endedAtMs };
}

function cancel(timers: Map<string, () => void>, id: string): void {
  timers.get(id)?.();
  timers.delete(id);
}
