/** What is done regularly: rotation of output, retention of finished jobs, limits for new disks. */
import { JobError, messageOf } from "../errors.ts";
import type { JobManager } from "../job.ts";
import { type Clock, SYSTEM_CLOCK } from "../../common/clock.ts";
import { expiredJobs, type Retention } from "../job/retention.ts";
import { log } from "../log.ts";
import type { JobStore } from "../store.ts";

/** Between two rotations: how long a fast writer may be beyond its bound. */
const ROTATION_INTERVAL_MS = 500;

/** Between two looks at the host's disks, while a job with a disk limit runs. */
const DISKS_INTERVAL_MS = 5000;

/** Between two looks at the finished jobs. */
const RETENTION_INTERVAL_MS = 10_000;

/** Finished jobs that are read at once; more, where some of them cannot be removed. */
const REMOVAL_BATCH = 100;

/** How long after a job could not be removed the next attempt is made: twice as long each time. */
const FIRST_RETRY_MS = 10_000;
const LAST_RETRY_MS = 3_600_000;

/** Runs all tasks until it is stopped. */
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
    this.#repeat(DISKS_INTERVAL_MS, () => manager.holdDiskLimits());
    const remains = new Remains(clock);
    this.#repeat(
      RETENTION_INTERVAL_MS,
      () => removeExpired(manager, store, { ...retention, clock, remains }),
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

/** Finished jobs that could not be removed: they must neither keep newer ones, nor be tried all the time. */
class Remains {
  readonly #clock: Clock;
  readonly #retries = new Map<string, { readonly atMs: number; readonly pauseMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#retries.size;
  }

  /** Whether an attempt may be made: none has failed yet, or long enough ago. */
  isDue(id: string): boolean {
    return (this.#retries.get(id)?.atMs ?? -Infinity) <= this.#clock.nowMs();
  }

  /** @returns Whether it is the first failure. */
  add(id: string): boolean {
    const last = this.#retries.get(id);
    const pauseMs = last === undefined ? FIRST_RETRY_MS : Math.min(2 * last.pauseMs, LAST_RETRY_MS);
    this.#retries.set(id, { atMs: this.#clock.nowMs() + pauseMs, pauseMs });
    return last === undefined;
  }

  /** Forgets all but these. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#retries.keys()) if (!ids.has(id)) this.#retries.delete(id);
  }
}

async function removeExpired(
  manager: JobManager,
  store: JobStore,
  { clock, remains, ...retention }: Retention & {
    readonly clock: Clock;
    readonly remains: Remains;
  },
): Promise<void> {
  for (;;) {
    // Twice as many as remain: a run over jobs that all remain would otherwise read them again and again.
    const oldest = store.oldestEnded(REMOVAL_BATCH + 2 * remains.count);
    const expired = expiredJobs(oldest, store.endedTotals(), { ...retention, nowMs: clock.nowMs() })
      .map(({ id }) => id);
    const due = expired.filter((id) => remains.isDue(id));
    for (const id of due) await remove(manager, id, remains);
    if (expired.length === oldest.length && due.length > 0) continue;
    remains.keep(new Set(expired));
    return;
  }
}

async function remove(manager: JobManager, id: string, remains: Remains): Promise<void> {
  try {
    await manager.remove(id);
    log.info("removed a finished job", { job: id });
  } catch (error) {
    const isNew = remains.add(id);
    // A client may have removed it in the meantime, or its record is damaged, which is told elsewhere.
    if (isNew && !(error instanceof JobError)) {
      log.error("cannot remove a finished job; it is tried again from time to time", {
        job: id,
        error: messageOf(error),
      });
    }
  }
}
