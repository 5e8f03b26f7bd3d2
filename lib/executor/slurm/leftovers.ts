/** What Slurm still has of jobs that cannot begin any more: it is taken away, so that it keeps no place. */
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import { log } from "../../log.ts";
import { isOverIn, type QueueAnswer } from "./queue.ts";

/** How long Slurm may take to carry out an sbatch that has failed: a controller that hung does it then. */
const LATE_MS = 60_000;

/** What leftovers are taken away with. */
export interface LeftoverParts {
  readonly clock: Clock;
  /** @throws When Slurm cannot be asked. */
  readonly cancel: (jobId: string, uid: number) => Promise<void>;
}

/** Jobs that are to be gone. */
export class Leftovers {
  readonly #parts: LeftoverParts;
  /** By the job's id: since when, and whose it is there. */
  readonly #jobs = new Map<string, { readonly sinceMs: number; readonly uid: number }>();

  constructor(parts: LeftoverParts) {
    this.#parts = parts;
  }

  /** How many there are. */
  get size(): number {
    return this.#jobs.size;
  }

  /** The user that such a job belongs to in Slurm. */
  uidOf(jobId: string): number | undefined {
    return this.#jobs.get(jobId)?.uid;
  }

  /** Has a job taken away now, or when Slurm shows it. */
  add(jobId: string, uid: number): void {
    this.#jobs.set(jobId, { sinceMs: this.#parts.clock.nowMs(), uid });
    void this.#cancel(jobId, uid);
  }

  /** Has those taken away that the engine still has. */
  hear({ asOfMs, jobs }: QueueAnswer): void {
    for (const [jobId, { sinceMs, uid }] of this.#jobs) {
      const job = jobs.get(jobId);
      if (job !== undefined && !isOverIn(job.state)) void this.#cancel(jobId, uid);
      else if (job !== undefined || asOfMs > sinceMs + LATE_MS) this.#jobs.delete(jobId);
    }
  }

  /** Where it fails, the next answer shows what is left. */
  async #cancel(jobId: string, uid: number): Promise<void> {
    try {
      await this.#parts.cancel(jobId, uid);
    } catch (error) {
      log.warn("cannot take a job away from Slurm that was withdrawn; it will not run", {
        job: jobId,
        error: messageOf(error),
      });
    }
  }
}
