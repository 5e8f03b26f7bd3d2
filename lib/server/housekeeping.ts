/** What is done from time to time: rotation of output, retention of finished jobs. */
import { JobError, messageOf } from "../errors.ts";
import type { JobManager } from "../job.ts";
import { expiredJobs, type Retention } from "../job/retention.ts";
import { log } from "../log.ts";
import type { JobStore } from "../store.ts";

/** Between two looks at the output of running jobs: a fast writer is beyond its bound for so long. */
const ROTATION_INTERVAL_MS = 500;

/** Between two looks at the finished jobs. */
const RETENTION_INTERVAL_MS = 10_000;

/** So many finished jobs are removed at once, and then calls have their turn. */
const REMOVAL_BATCH = 100;

/** Runs both chores until it is stopped. */
export class Housekeeper {
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  #isStopped = false;

  /** Begins at once. */
  constructor(manager: JobManager, store: JobStore, retention: Retention) {
    this.#repeat(ROTATION_INTERVAL_MS, 0, () => manager.rotate());
    this.#repeat(RETENTION_INTERVAL_MS, 1, () => removeExpired(manager, store, retention));
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #repeat(intervalMs: number, slot: number, chore: () => Promise<void>): void {
    const run = async () => {
      try {
        await chore();
      } catch (error) {
        log.error("housekeeping failed", { error: messageOf(error) });
      }
      if (!this.#isStopped) this.#timers[slot] = setTimeout(run, intervalMs);
    };
    void run();
  }
}

async function removeExpired(
  manager: JobManager,
  store: JobStore,
  retention: Retention,
): Promise<void> {
  for (;;) {
    const oldest = store.oldestEnded(REMOVAL_BATCH);
    const expired = expiredJobs(oldest, store.endedTotals(), { ...retention, nowMs: Date.now() });
    for (const { id } of expired) {
      try {
        await manager.remove(id);
        log.info("removed a finished job", { job: id });
      } catch (error) {
        // A client may have removed it in the meantime.
        if (!(error instanceof JobError)) throw error;
      }
    }
    if (expired.length < REMOVAL_BATCH) return;
  }
}
