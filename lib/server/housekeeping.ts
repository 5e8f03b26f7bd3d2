/** What is done regularly: rotation of output, retention of finished jobs. */
import { JobError, messageOf } from "../errors.ts";
import type { JobManager } from "../job.ts";
import { type Clock, SYSTEM_CLOCK } from "../job/clock.ts";
import { expiredJobs, type Retention } from "../job/retention.ts";
import { log } from "../log.ts";
import type { JobStore } from "../store.ts";

/** Between two rotations: how long a fast writer may be beyond its bound. */
const ROTATION_INTERVAL_MS = 500;

/** Between two looks at the finished jobs. */
const RETENTION_INTERVAL_MS = 10_000;

/** Finished jobs that are read at once. */
const REMOVAL_BATCH = 100;

/** Runs both tasks until it is stopped. */
export class Housekeeper {
  readonly #clock: Clock;
  /** What cancels the timers, by task. */
  readonly #timers = new Map<() => Promise<void>, () => void>();
  #isStopped = false;

  /** Begins at once. */
  constructor(
    manager: JobManager,
    store: JobStore,
    { clock = SYSTEM_CLOCK, ...retention }: Retention & { readonly clock?: Clock },
  ) {
    this.#clock = clock;
    this.#repeat(ROTATION_INTERVAL_MS, () => manager.rotate());
    this.#repeat(
      RETENTION_INTERVAL_MS,
      () => removeExpired(manager, store, { ...retention, clock }),
    );
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#timers.values()) cancel();
  }

  #repeat(intervalMs: number, task: () => Promise<void>): void {
    const run = async () => {
      try {
        await task();
      } catch (error) {
        log.error("housekeeping failed", { error: messageOf(error) });
      }
      if (!this.#isStopped) this.#timers.set(task, this.#clock.after(intervalMs, () => void run()));
    };
    void run();
  }
}

async function removeExpired(
  manager: JobManager,
  store: JobStore,
  { clock, ...retention }: Retention & { readonly clock: Clock },
): Promise<void> {
  // Jobs that cannot be removed now must not keep the newer ones from being removed.
  const kept = new Set<string>();
  for (;;) {
    const oldest = store.oldestEnded(REMOVAL_BATCH + kept.size);
    const expired = expiredJobs(oldest, store.endedTotals(), { ...retention, nowMs: clock.nowMs() })
      .filter(({ id }) => !kept.has(id));
    for (const { id } of expired) {
      if (!await remove(manager, id)) kept.add(id);
    }
    if (expired.length < REMOVAL_BATCH) return;
  }
}

/** @returns Whether the job was removed by this call. */
async function remove(manager: JobManager, id: string): Promise<boolean> {
  try {
    await manager.remove(id);
    log.info("removed a finished job", { job: id });
    return true;
  } catch (error) {
    // A client may have removed it in the meantime.
    if (!(error instanceof JobError)) {
      log.error("cannot remove a finished job", { job: id, error: messageOf(error) });
    }
    return false;
  }
}
