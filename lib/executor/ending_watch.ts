/** Watches for the ends of jobs whose launchers an earlier server started. */
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import { whenConfirmed } from "./confirmed_end.ts";
import { LAUNCH_RECORD_FILE, readLaunchRecord } from "./job_files.ts";
import type { ProcessIdentity } from "./launch_record.ts";
import type { LeftJob } from "./left_job.ts";
import { LOST_BECAUSE, whenOrphanEnds } from "./orphans.ts";
import { findAlive } from "./processes.ts";

interface Watched {
  request: LeftJob;
  launcher: ProcessIdentity;
  end: (ending: Ending | Promise<Ending>) => void;
  fail: (error: unknown) => void;
}

/**
 * Learns of a job's end from its launch record, by inotify. A launcher that was killed writes nothing:
 * so all launchers are checked at an interval, in one script.
 */
export class EndingWatch {
  readonly #checkIntervalMs: number;
  /** By the path of the launch record. */
  readonly #watched = new Map<string, Watched>();
  #watcher: Deno.FsWatcher | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(checkIntervalMs: number) {
    this.#checkIntervalMs = checkIntervalMs;
  }

  /**
   * Adds a job; to be called before {@linkcode start}. Settles when the job has ended; rejects where the
   * executor cannot find out how.
   */
  whenEnded(request: LeftJob, launcher: ProcessIdentity): Promise<Ending> {
    return new Promise((end, fail) => {
      this.#watched.set(join(request.folder, LAUNCH_RECORD_FILE), { request, launcher, end, fail });
    });
  }

  /** Begins to watch the jobs that were added, besides those that are being watched. */
  start(): void {
    if (this.#watched.size === 0) return;
    this.#closeWatcher();
    clearTimeout(this.#timer);
    this.#scheduleCheck();
    try {
      this.#watcher = Deno.watchFs([...this.#watched.keys()], { recursive: false });
    } catch (error) {
      // The host has no inotify instance left; the regular check finds the ends too, only later.
      log.warn("cannot watch the launch records of adopted jobs: checking them at an interval", {
        error: messageOf(error),
      });
      return;
    }
    void this.#listen(this.#watcher);
  }

  close(): void {
    this.#isClosed = true;
    this.#closeWatcher();
    clearTimeout(this.#timer);
  }

  /** A watcher that is closed twice throws. */
  #closeWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #listen(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const { paths } of watcher) {
        for (const path of paths) this.#settle(path);
        if (this.#watched.size === 0) this.#closeWatcher();
      }
    } catch (error) {
      log.warn("the watch for adopted jobs' ends failed: checking them at an interval", {
        error: messageOf(error),
      });
    }
  }

  #scheduleCheck(): void {
    if (this.#isClosed || this.#watched.size === 0) return;
    this.#timer = setTimeout(async () => {
      try {
        await this.#checkLaunchers();
      } catch (error) {
        // The host has no room for a process, say; the next check may succeed.
        log.error("cannot check the launchers of adopted jobs", { error: messageOf(error) });
      }
      this.#scheduleCheck();
    }, this.#checkIntervalMs);
  }

  async #checkLaunchers(): Promise<void> {
    const watched = [...this.#watched];
    const alive = await findAlive(watched.map(([, { launcher }]) => launcher));
    for (const [path, { request, launcher, end, fail }] of watched) {
      if (alive.has(launcher)) continue;
      this.#settle(path);
      if (!this.#watched.delete(path)) continue;
      log.warn("the launcher of a job is gone, and has left no exit status", {
        job: request.jobId,
      });
      whenOrphanEnds(request, LOST_BECAUSE.unknown).then(end, fail);
    }
  }

  /** Ends the watch of a job whose launch record tells its ending. */
  #settle(path: string): void {
    const watched = this.#watched.get(path);
    if (watched === undefined) return;
    const ending = this.#endingOf(watched.request);
    if (ending === undefined) return;
    this.#watched.delete(path);
    watched.end(whenConfirmed(watched.request, ending));
  }

  /** A record that cannot be read now (the host has no descriptor left, say) may be read later. */
  #endingOf({ jobId, folder }: LeftJob): Ending | undefined {
    try {
      return readLaunchRecord(folder)?.ending;
    } catch (error) {
      log.error("cannot read a launch record", { job: jobId, error: messageOf(error) });
      return undefined;
    }
  }
}
