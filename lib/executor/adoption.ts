/** Takes over the jobs that an earlier server left on this host. */
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { EndingWatch } from "./ending_watch.ts";
import { whenConfirmed } from "./confirmed_end.ts";
import { discardGroups, isVacated, removeEmptyGroups } from "./group_files.ts";
import { readLaunchRecord, withdraw } from "./job_files.ts";
import type { ProcessIdentity } from "./launch_record.ts";
import type { LeftJob, Outcome } from "./left_job.ts";
import { LOST_BECAUSE, lostBecause, whenOrphanEnds } from "./orphans.ts";
import { findAlive } from "./processes.ts";
import { Turns } from "../../common/turns.ts";

/** Times that tests shorten. */
export interface AdoptionTimes {
  /** How often the launchers of adopted jobs are checked. */
  checkIntervalMs: number;
  /** How long a launcher may take from creating its launch record to writing its first line. */
  firstLineTimeoutMs: number;
  /** A job of which it cannot be told by then what became of it counts as running, and is watched. */
  settleTimeoutMs: number;
}

const DEFAULT_TIMES: AdoptionTimes = {
  checkIntervalMs: 1000,
  firstLineTimeoutMs: 5000,
  settleTimeoutMs: 10_000,
};

/** How soon launch records are read again that are about to be written; twice as late each time. */
const FIRST_POLL_INTERVAL_MS = 10;

/** The longest time between two looks. */
const MAX_POLL_INTERVAL_MS = 250;

/** Jobs looked at the same time: some of them need a process. */
const MAX_AT_ONCE = 16;

/** What is known of all jobs when they are looked at. */
interface Round {
  /** Ids of jobs whose launcher has ended. */
  readonly launcherless: ReadonlySet<string>;
  /** Whether a launcher has had the time to write its first line. */
  readonly isFirstLineDue: boolean;
}

/** Adopted jobs, and the watch for their ends. */
export class AdoptedJobs {
  readonly #bootId: string;
  readonly #endings: EndingWatch;
  readonly #times: AdoptionTimes;

  /** @param bootId The host's present boot. */
  constructor(bootId: string, times: AdoptionTimes = DEFAULT_TIMES) {
    this.#bootId = bootId;
    this.#endings = new EndingWatch(times.checkIntervalMs);
    this.#times = times;
  }

  /** Finds out what became of each job, and watches those that run. */
  async adopt(requests: readonly LeftJob[]): Promise<Map<string, Outcome>> {
    // One clock for all: after the host's crash there may be many jobs to wait for.
    const beganAtMs = Date.now();
    const isOver = (timeoutMs: number) => Date.now() - beganAtMs > timeoutMs;
    const adoptions = new Map<string, Outcome>();
    let open = requests;
    let launcherless: ReadonlySet<string> = new Set();
    for (
      let pauseMs = FIRST_POLL_INTERVAL_MS;;
      pauseMs = Math.min(2 * pauseMs, MAX_POLL_INTERVAL_MS)
    ) {
      const round = { launcherless, isFirstLineDue: isOver(this.#times.firstLineTimeoutMs) };
      const errors = await this.#look(open, round, adoptions);
      open = open.filter(({ jobId }) => !adoptions.has(jobId));
      if (open.length === 0) break;
      if (isOver(this.#times.settleTimeoutMs)) {
        for (const request of open) {
          adoptions.set(request.jobId, this.#unsettled(request, errors.get(request.jobId)));
        }
        break;
      }
      await delay(pauseMs);
      launcherless = await findLauncherless(open);
    }
    this.#endings.start();
    return adoptions;
  }

  /** Stops watching. Jobs go on. */
  close(): void {
    this.#endings.close();
  }

  /**
   * Looks at jobs, and adds what became of each to `adoptions`, unless that cannot be told yet.
   *
   * @returns Why not, by job id, where something failed.
   */
  async #look(
    requests: readonly LeftJob[],
    round: Round,
    adoptions: Map<string, Outcome>,
  ): Promise<Map<string, string>> {
    const turns = new Turns(MAX_AT_ONCE, this.#times.settleTimeoutMs);
    const errors = new Map<string, string>();
    await Promise.all(requests.map(async (request) => {
      using _turn = await turns.take();
      try {
        const adoption = await this.#adopt(request, round);
        if (adoption !== undefined) adoptions.set(request.jobId, adoption);
      } catch (error) {
        // The host may be out of processes or files: one job must not keep the others from adoption.
        errors.set(request.jobId, messageOf(error));
      }
    }));
    return errors;
  }

  /** @returns undefined: it cannot be told yet. */
  async #adopt(
    request: LeftJob,
    { launcherless, isFirstLineDue }: Round,
  ): Promise<Outcome | undefined> {
    const { jobId, folder, placement, wasRunning } = request;
    if (!wasRunning && await withdraw(folder)) return await neverStarted(request);
    const record = readLaunchRecord(folder);
    const { launcher, job, ending } = record ?? {};
    // A power cut may take the launch record, or leave it empty: then the job's own record knows.
    const isOfOtherBoot = placement.bootId !== undefined && placement.bootId !== this.#bootId;
    if (record !== undefined && launcher === undefined && !isFirstLineDue && !isOfOtherBoot) {
      return undefined;
    }
    if (ending !== undefined) {
      const pid = job?.pid ?? 0;
      if (await isVacated(placement)) return { kind: "ended", pid, ending };
      return { kind: "running", pid, ended: whenConfirmed(request, ending) };
    }
    if (launcher?.bootId === this.#bootId) {
      if (job !== undefined) {
        return { kind: "running", pid: job.pid, ended: this.#endings.whenEnded(request, launcher) };
      }
      // The launcher has yet to start the job, or to refuse to.
      if (!launcherless.has(jobId)) return undefined;
      return wasRunning ? await orphaned(request) : await neverStarted(request);
    }
    if (job === undefined && !wasRunning) return await neverStarted(request);
    if (launcher === undefined && !isOfOtherBoot) return await orphaned(request);
    // Of that boot no process is left: one in a group of this name is not the job's.
    await removeEmptyGroups(placement.groups);
    return { kind: "ended", pid: job?.pid ?? 0, ending: lostBecause(LOST_BECAUSE.hostWentDown) };
  }

  /** A job of which it cannot be told in time what became of it. */
  #unsettled(request: LeftJob, error?: string): Outcome {
    log.warn("cannot tell yet what became of a job: it counts as running", {
      job: request.jobId,
      error: error ?? "its launcher has not started it yet",
    });
    const launcher = launcherOf(request);
    const ended = launcher === undefined
      ? whenOrphanEnds(request, LOST_BECAUSE.unknown)
      : this.#endings.whenEnded(request, launcher);
    return { kind: "running", pid: 0, ended };
  }
}

/** A job that has run, and whose files tell no more of it: its processes may live on. */
async function orphaned(request: LeftJob): Promise<Outcome> {
  const reason = LOST_BECAUSE.filesDamaged;
  if (await isVacated(request.placement)) {
    return { kind: "ended", pid: 0, ending: lostBecause(reason) };
  }
  return { kind: "running", pid: 0, ended: whenOrphanEnds(request, reason) };
}

async function neverStarted({ placement }: LeftJob): Promise<Outcome> {
  await discardGroups(placement.groups);
  return { kind: "never-started" };
}

/** @returns Ids of those jobs whose launcher has ended; none where the host has no process to find out. */
async function findLauncherless(requests: readonly LeftJob[]): Promise<Set<string>> {
  const launchers = requests.flatMap((request) => {
    const launcher = launcherOf(request);
    return launcher === undefined ? [] : [{ ...launcher, jobId: request.jobId }];
  });
  const alive = await findAlive(launchers).catch(() => new Set(launchers));
  return new Set(launchers.filter((one) => !alive.has(one)).map(({ jobId }) => jobId));
}

function launcherOf({ folder }: LeftJob): ProcessIdentity | undefined {
  try {
    return readLaunchRecord(folder)?.launcher;
  } catch {
    return undefined; // The next look at the job tells why.
  }
}
