/** Watches for the ends of jobs whose launchers an earlier server started. */
import { join } from "node:path";
import type { AdoptionRequest } from "../executor.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import { LAUNCH_RECORD_FILE, readLaunchRecord } from "./job_files.ts";
import type { ProcessIdentity } from "./launch_record.ts";
import { whenOrphanEnds } from "./orphans.ts";
import { findAlive } from "./processes.ts";

interface Watched {
  request: AdoptionRequest;
  launcher: ProcessIdentity;
  end: (ending: Ending) => void;
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

  /** Adds a job; to be called before {@linkcode start}. Settles when the job has ended. */
  whenEnded(request: AdoptionRequest, launcher: ProcessIdentity): Promise<Ending> {
    return new Promise((end) => {
      this.#watched.set(join(request.folder, LAUNCH_RECORD_FILE), { request, launcher, end });
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
    for await (const { paths } of watcher) {
      for (const path of paths) this.#settle(path);
      if (this.#watched.size === 0) this.#closeWatcher();
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
    for (const [path, { request, launcher, end }] of watched) {
      if (alive.has(launcher)) continue;
      this.#settle(path);
      if (!this.#watched.delete(path)) continue;
      log.warn("the launcher of a job was killed", { job: request.jobId });
      void whenOrphanEnds(request).then(end);
    }
  }

  /** Ends the watch of a job whose launch record tells its ending. */
  #settle(path: string): void {
    const watched = this.#watched.get(path);
    if (watched === undefined) return;
    const ending = readLaunchRecord(watched.request.folder)?.ending;
    if (ending === undefined) return;
    this.#watched.delete(path);
    watched.end(ending);
  }
}
