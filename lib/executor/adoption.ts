/** Takes over the jobs that an earlier server left on this host. */
import { setTimeout as delay } from "node:timers/promises";
import type { Adoption, AdoptionRequest } from "../executor.ts";
import { EndingWatch } from "./ending_watch.ts";
import { discardGroups, removeGroups } from "./group_files.ts";
import { readLaunchRecord, type StoredLaunchRecord, withdraw } from "./job_files.ts";
import type { ProcessIdentity } from "./launch_record.ts";
import { findAlive } from "./processes.ts";

/** Times that tests shorten. */
export interface AdoptionTimes {
  /** How often the launchers of adopted jobs are checked. */
  checkIntervalMs: number;
  /** How long a launcher may take from creating its launch record to writing its first line. */
  firstLineTimeoutMs: number;
}

const DEFAULT_TIMES: AdoptionTimes = { checkIntervalMs: 1000, firstLineTimeoutMs: 5000 };

/** How often a launch record is read again that is about to be written. */
const RECORD_POLL_INTERVAL_MS = 10;

/** Adopted jobs, and the watch for their ends. */
export class AdoptedJobs {
  readonly #bootId: string;
  readonly #endings: EndingWatch;
  readonly #firstLineTimeoutMs: number;

  /** @param bootId The host's present boot. */
  constructor(bootId: string, times: AdoptionTimes = DEFAULT_TIMES) {
    this.#bootId = bootId;
    this.#endings = new EndingWatch(times.checkIntervalMs);
    this.#firstLineTimeoutMs = times.firstLineTimeoutMs;
  }

  /** Finds out what became of each job, and watches those that run. */
  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    const adoptions = new Map<string, Adoption>();
    for (const request of requests) {
      if (request.wasRunning || !await withdraw(request.folder)) continue;
      adoptions.set(request.jobId, await neverStarted(request));
    }
    // One deadline for all: after the host's crash there may be many records without a first line.
    const deadlineMs = Date.now() + this.#firstLineTimeoutMs;
    for (const request of requests) {
      if (adoptions.has(request.jobId)) continue;
      const record = this.#isOfOtherBoot(request)
        ? readLaunchRecord(request.folder)
        : await readStartedRecord(request.folder, deadlineMs);
      adoptions.set(request.jobId, await this.#adopt(request, record));
    }
    this.#endings.start();
    return adoptions;
  }

  /** Stops watching. Jobs go on. */
  close(): void {
    this.#endings.close();
  }

  async #adopt(
    request: AdoptionRequest,
    { launcher, job, ending }: StoredLaunchRecord = {},
  ): Promise<Adoption> {
    if (ending !== undefined) {
      await removeGroups(request.placement.groups);
      return { kind: "ended", pid: job?.pid ?? 0, ending };
    }
    if (launcher?.bootId === this.#bootId) return await this.#whenBegun(request, launcher);
    if (job === undefined && !request.wasRunning) return await neverStarted(request);
    const wentDown = launcher !== undefined || this.#isOfOtherBoot(request);
    return await lost(request, wentDown ? HOST_WENT_DOWN : DAMAGED, job);
  }

  /** A power cut may take the launch record, or leave it empty: then the job's own record knows. */
  #isOfOtherBoot({ placement: { bootId } }: AdoptionRequest): boolean {
    return bootId !== undefined && bootId !== this.#bootId;
  }

  /** Waits until the launcher has started the job, or has refused to and exited. */
  async #whenBegun(request: AdoptionRequest, launcher: ProcessIdentity): Promise<Adoption> {
    for (let isAlive = true;; isAlive = (await findAlive([launcher])).has(launcher)) {
      // Read after the check: the record then has all that a launcher wrote before it ended.
      const job = readLaunchRecord(request.folder)?.job;
      if (job !== undefined) {
        return { kind: "running", pid: job.pid, ended: this.#endings.whenEnded(request, launcher) };
      }
      if (!isAlive) {
        return request.wasRunning ? await lost(request, DAMAGED) : await neverStarted(request);
      }
      await delay(RECORD_POLL_INTERVAL_MS);
    }
  }
}

const HOST_WENT_DOWN = "the host went down while the job ran";

const DAMAGED = "the job's files were damaged or removed on the host";

async function lost(
  { placement }: AdoptionRequest,
  reason: string,
  job?: { pid: number },
): Promise<Adoption> {
  await removeGroups(placement.groups);
  return {
    kind: "ended",
    pid: job?.pid ?? 0,
    ending: { kind: "lost", reason, endedAtMs: Date.now() },
  };
}

async function neverStarted({ placement }: AdoptionRequest): Promise<Adoption> {
  await discardGroups(placement.groups);
  return { kind: "never-started" };
}

/** Reads a launch record, and waits for its first line when the launcher has only just created it. */
async function readStartedRecord(
  folder: string,
  deadlineMs: number,
): Promise<StoredLaunchRecord | undefined> {
  for (;;) {
    const record = readLaunchRecord(folder);
    if (record === undefined || record.launcher !== undefined || Date.now() > deadlineMs) {
      return record;
    }
    await delay(RECORD_POLL_INTERVAL_MS);
  }
}
