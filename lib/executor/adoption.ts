/** Takes over the jobs that an earlier server left on this host. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeGroups, whenEmpty } from "./group_files.ts";
import type { Adoption, AdoptionRequest } from "../executor.ts";
import type { Ending } from "../model/ending.ts";
import { endingOf, readLaunchRecord } from "./launch_record.ts";
import {
  LAUNCH_RECORD_FILE,
  type LaunchRecord,
  type ProcessIdentity,
  WITHDRAWN,
} from "./launch_record.ts";
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/**
 * How often adopted jobs' launchers are looked at, all in one script. The end of a job is heard from
 * its launch record at once; this is for a launcher that was killed.
 */
const LAUNCHER_CHECK_INTERVAL_MS = 1000;

/** How long a launcher may take from making its launch record to writing its first line. */
const FIRST_LINE_TIMEOUT_MS = 5000;

interface Adopted {
  request: AdoptionRequest;
  launcher: ProcessIdentity;
  end: (ending: Ending) => void;
}

/** Adopted jobs, and the watch for their ends. */
export class AdoptedJobs {
  readonly #bootId: string;
  /** By the path of the launch record. */
  readonly #waiting = new Map<string, Adopted>();
  #watcher: Deno.FsWatcher | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param bootId The host's present boot. */
  constructor(bootId: string) {
    this.#bootId = bootId;
  }

  /** Finds out what became of each job, and watches those that go on. */
  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    const adoptions = new Map<string, Adoption>();
    for (const request of requests) adoptions.set(request.jobId, await this.#adopt(request));
    this.#watch();
    return adoptions;
  }

  close(): void {
    this.#closed = true;
    this.#closeWatcher();
    clearTimeout(this.#timer);
  }

  /** A watcher that is closed twice throws. */
  #closeWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #adopt(request: AdoptionRequest): Promise<Adoption> {
    const { folder, placement } = request;
    if (!request.wasRunning && await withdraw(folder)) return await neverStarted(request);
    const launch = await readStartedRecord(folder);
    const { launcher, job } = launch ?? {};
    const ending = endingOf(folder);
    if (ending !== undefined) {
      await removeGroups(placement.groups);
      return { kind: "ended", pid: job?.pid ?? 0, ending };
    }
    if (launcher === undefined || launcher.bootId !== this.#bootId) {
      if (!request.wasRunning && job === undefined) return await neverStarted(request);
      return { kind: "ended", pid: job?.pid ?? 0, ending: await lost(request, launcher?.bootId) };
    }
    if (job !== undefined) {
      return { kind: "running", pid: job.pid, ended: this.#await(request, launcher) };
    }
    // The launcher is at work: it starts the job in a moment, or refuses to and goes.
    return await this.#whenBegun(request, launcher);
  }

  async #whenBegun(request: AdoptionRequest, launcher: ProcessIdentity): Promise<Adoption> {
    for (;;) {
      const isAlive = await areAlive([launcher]);
      const job = readLaunchRecord(request.folder)?.job;
      if (job !== undefined) {
        return { kind: "running", pid: job.pid, ended: this.#await(request, launcher) };
      }
      if (isAlive.size === 0) return await neverStarted(request);
      await delay(10);
    }
  }

  #await(request: AdoptionRequest, launcher: ProcessIdentity): Promise<Ending> {
    return new Promise((end) => {
      this.#waiting.set(join(request.folder, LAUNCH_RECORD_FILE), { request, launcher, end });
    });
  }

  #watch(): void {
    if (this.#waiting.size === 0) return;
    // Of an earlier call; what it watches is among the jobs that are watched from here on.
    this.#closeWatcher();
    clearTimeout(this.#timer);
    this.#scheduleCheck();
    try {
      this.#watcher = Deno.watchFs([...this.#waiting.keys()], { recursive: false });
    } catch (error) {
      // The host has no inotify instance left; the regular check finds the ends too, only later.
      log.warn("adopted jobs are watched by a timer", { error: String(error) });
      return;
    }
    void this.#listen(this.#watcher);
  }

  async #listen(watcher: Deno.FsWatcher): Promise<void> {
    for await (const { paths } of watcher) {
      for (const path of paths) {
        const adopted = this.#waiting.get(path);
        if (adopted !== undefined) this.#settle(path, adopted);
      }
      if (this.#waiting.size === 0) this.#closeWatcher();
    }
  }

  #scheduleCheck(): void {
    if (this.#closed || this.#waiting.size === 0) return;
    this.#timer = setTimeout(async () => {
      await this.#checkLaunchers();
      this.#scheduleCheck();
    }, LAUNCHER_CHECK_INTERVAL_MS);
  }

  async #checkLaunchers(): Promise<void> {
    const waiting = [...this.#waiting];
    const alive = await areAlive(waiting.map(([, { launcher }]) => launcher));
    for (const [path, adopted] of waiting) {
      if (alive.has(processName(adopted.launcher)) || this.#settle(path, adopted)) continue;
      if (!this.#waiting.delete(path)) continue;
      log.warn("the launcher of a job is gone", { job: adopted.request.jobId });
      void whenOrphanEnds(adopted.request).then(adopted.end);
    }
  }

  #settle(path: string, { request, end }: Adopted): boolean {
    const ending = endingOf(request.folder);
    if (ending === undefined) return false;
    this.#waiting.delete(path);
    end(ending);
    return true;
  }
}

/**
 * Waits for the end of a job whose launcher was killed: its exit status went with the launcher.
 */
export async function whenOrphanEnds(
  { placement, folder }: Pick<AdoptionRequest, "placement" | "folder">,
): Promise<Ending> {
  await whenEmpty(placement);
  await removeGroups(placement.groups);
  return endingOf(folder) ?? {
    kind: "lost",
    reason: "the job's launcher was killed, and the job's exit status with it",
    endedAtMs: Date.now(),
  };
}

async function lost(request: AdoptionRequest, bootId: string | undefined): Promise<Ending> {
  const reason = bootId === undefined
    ? "the job's files were damaged or removed on the host"
    : "the host went down while the job ran";
  await removeGroups(request.placement.groups);
  return { kind: "lost", reason, endedAtMs: Date.now() };
}

async function neverStarted(request: AdoptionRequest): Promise<Adoption> {
  await removeGroups(request.placement.groups);
  return { kind: "never-started" };
}

/**
 * Gives up a start whose launcher has not begun: whoever makes the launch record first, decides.
 *
 * @returns False when a launcher was first.
 */
async function withdraw(folder: string): Promise<boolean> {
  try {
    await Deno.writeTextFile(join(folder, LAUNCH_RECORD_FILE), WITHDRAWN, { createNew: true });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    if (error instanceof Deno.errors.AlreadyExists) return await isWithdrawn(folder);
    throw error;
  }
}

async function isWithdrawn(folder: string): Promise<boolean> {
  return (await Deno.readTextFile(join(folder, LAUNCH_RECORD_FILE))) === WITHDRAWN;
}

/** Reads a launch record, and waits for its first line when the launcher has only just made it. */
async function readStartedRecord(folder: string): Promise<LaunchRecord | undefined> {
  const deadline = Date.now() + FIRST_LINE_TIMEOUT_MS;
  for (;;) {
    const launch = readLaunchRecord(folder);
    if (launch === undefined || launch.launcher !== undefined || Date.now() > deadline) {
      return launch;
    }
    await delay(10);
  }
}

async function areAlive(processes: readonly ProcessIdentity[]): Promise<Set<string>> {
  const text = await runScript(scripts.alive, processes.map(processName));
  return new Set(text.split("\n"));
}

function processName({ pid, startTime }: ProcessIdentity): string {
  return `${pid}:${startTime}`;
}
