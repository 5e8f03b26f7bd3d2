/**
 * Knows what jobs use that somebody looks at: their listeners count while this asks for it. Who looks is answered
 * from memory, at once, and the first time with nothing.
 */
import type { Clock } from "../../../common/clock.ts";
import type { Usage } from "../../cgroup/types.ts";
import type { JobRef } from "../../executor.ts";
import type { JobPlace } from "./place.ts";
import { type CountedUsage, readUsageFile, renewWatch } from "./usage_file.ts";

/** Jobs that are watched at once: each costs its node a little, and the file server a few calls a second. */
const MAX_JOBS = 300;

/** After so long without a look at it, a job is watched no more: a page looks every few seconds. */
const UNWATCHED_MS = 30_000;

/** How often a listener is told to go on: it stops after a minute. */
const RENEWAL_MS = 20_000;

/** What was counted is worth nothing after so long without news: the node is away, or the share. */
const SILENT_MS = 15_000;

/** A listener that counts nothing is woken again after so long. */
const WAKE_AGAIN_MS = 15_000;

/** Between two looks at all files, at least; more where a look takes long. */
const ROUND_MS = 1000;

/** The same while a job has just been asked for. */
const FIRST_ROUND_MS = 200;

/** So many of these. */
const FIRST_ROUNDS = 15;

/** The pause is so many times what the look took. */
const PAUSE_SHARE = 4;

/** What {@linkcode UsageWatch} works with. */
export interface UsageWatchParts {
  readonly clock: Clock;
  /** Whether the job runs: only then there is a listener. */
  readonly isRunning: (jobId: string) => boolean;
  /** Where its node writes. */
  readonly placeOf: (jobId: string) => JobPlace | undefined;
  /** Wakes a job's listener. @throws When Slurm cannot be asked. */
  readonly wake: (job: JobRef) => Promise<void>;
}

interface WatchedJob {
  readonly job: JobRef;
  askedAtMs: number;
  renewedAtMs: number;
  wokenAtMs: number;
  rounds: number;
  counted?: CountedUsage;
  /** When that came. */
  newsAtMs: number;
}

/** Watches jobs while somebody looks. */
export class UsageWatch {
  readonly #parts: UsageWatchParts;
  readonly #jobs = new Map<string, WatchedJob>();
  readonly #toWake = new Set<WatchedJob>();
  #isLooking = false;
  #isWaking = false;
  #isClosed = false;
  #endPause: (() => void) | undefined;

  constructor(parts: UsageWatchParts) {
    this.#parts = parts;
  }

  /** What a job used a moment ago, with the time; nothing where that is not known. */
  usageOf(job: JobRef): Usage {
    const nowMs = this.#parts.clock.nowMs();
    const watched = this.#jobs.get(job.jobId);
    if (watched === undefined) {
      this.#add(job, nowMs);
      return {};
    }
    watched.askedAtMs = nowMs;
    return nowMs - watched.newsAtMs > SILENT_MS ? {} : watched.counted?.usage ?? {};
  }

  /** Watches no more. */
  close(): void {
    this.#isClosed = true;
    this.#jobs.clear();
    this.#toWake.clear();
    this.#endPause?.();
  }

  #add(job: JobRef, nowMs: number): void {
    const { jobId } = job;
    if (this.#isClosed || this.#jobs.size >= MAX_JOBS || !this.#parts.isRunning(jobId)) return;
    this.#jobs.set(jobId, {
      job,
      askedAtMs: nowMs,
      renewedAtMs: -Infinity,
      wokenAtMs: -Infinity,
      newsAtMs: -Infinity,
      rounds: 0,
    });
    this.#endPause?.();
    if (!this.#isLooking) void this.#lookAtAll();
  }

  /** One file after the other: a share that is stuck holds one thread, and nobody who asks. */
  async #lookAtAll(): Promise<void> {
    const { clock } = this.#parts;
    this.#isLooking = true;
    while (this.#jobs.size > 0) {
      const beganAtMs = clock.nowMs();
      for (const watched of [...this.#jobs.values()]) {
        // What fails is tried again in the next round; until then there is no news.
        await this.#look(watched).catch(() => {});
      }
      const isFirst = [...this.#jobs.values()].some(({ counted, rounds }) =>
        counted === undefined && rounds < FIRST_ROUNDS
      );
      const tookMs = clock.nowMs() - beganAtMs;
      if (this.#jobs.size > 0) {
        await this.#pause(Math.max(isFirst ? FIRST_ROUND_MS : ROUND_MS, PAUSE_SHARE * tookMs));
      }
    }
    this.#isLooking = false;
  }

  async #look(watched: WatchedJob): Promise<void> {
    const { clock, isRunning, placeOf } = this.#parts;
    const { job: { jobId, folder } } = watched;
    const nowMs = clock.nowMs();
    if (nowMs - watched.askedAtMs > UNWATCHED_MS || !isRunning(jobId)) {
      this.#jobs.delete(jobId);
      return;
    }
    watched.rounds++;
    if (nowMs - watched.renewedAtMs >= RENEWAL_MS) {
      await renewWatch(folder, nowMs);
      watched.renewedAtMs = nowMs;
    }
    const counted = await readUsageFile(placeOf(jobId)?.nodeFolder ?? folder);
    if (counted !== undefined && counted.mark !== watched.counted?.mark) {
      // What is there at the first look may be old; what comes later is news.
      const isNews = watched.rounds > 1;
      Object.assign(watched, { counted, ...(isNews && { newsAtMs: clock.nowMs() }) });
    }
    const isSilent = nowMs - watched.newsAtMs > SILENT_MS;
    if (isSilent && nowMs - watched.wokenAtMs >= WAKE_AGAIN_MS) this.#wakeSoon(watched);
  }

  /** One after the other: a stop must not wait for many of these. */
  #wakeSoon(watched: WatchedJob): void {
    watched.wokenAtMs = this.#parts.clock.nowMs();
    this.#toWake.add(watched);
    if (!this.#isWaking) void this.#wakeAll();
  }

  async #wakeAll(): Promise<void> {
    this.#isWaking = true;
    for (const watched of this.#toWake) {
      this.#toWake.delete(watched);
      // The controller may be away: it is tried again later.
      if (this.#jobs.has(watched.job.jobId)) await this.#parts.wake(watched.job).catch(() => {});
    }
    this.#isWaking = false;
  }

  async #pause(pauseMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#parts.clock.after(pauseMs, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }
}
