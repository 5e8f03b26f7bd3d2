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
  readonly cancel: (jobId: string) => Promise<void>;
}

/** Jobs that are to be gone. */
export class Leftovers {
  readonly #parts: LeftoverParts;
  /** By the job's id: since when. */
  readonly #since = new Map<string, number>();

  constructor(parts: LeftoverParts) {
    this.#parts = parts;
  }

  /** How many there are. */
  get size(): number {
    return this.#since.size;
  }

  /** Has a job taken away now, or when Slurm shows it. */
  add(jobId: string): void {
    this.#since.set(jobId, this.#parts.clock.nowMs());
    void this.#cancel(jobId);
  }

  /** Has those taken away that the engine still has. */
  hear({ asOfMs, jobs }: QueueAnswer): void {
    for (const [jobId, sinceMs] of this.#since) {
      const job = jobs.get(jobId);
      if (job !== undefined && !isOverIn(job.state)) void this.#cancel(jobId);
      else if (job !== undefined || asOfMs > sinceMs + LATE_MS) this.#since.delete(jobId);
    }
  }

  /** Where it fails, the next answer shows what is left. */
  async #cancel(jobId: string): Promise<void> {
    try {
      await this.#parts.cancel(jobId);
    } catch (error) {
      log.warn("cannot take a job away from Slurm that was withdrawn; it will not run", {
        job: jobId,
        error: messageOf(error),
      });
    }
  }
}
