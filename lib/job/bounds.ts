/** How many jobs may run at once, so that nobody takes the host from the others. Pure. */
import { JobError } from "../errors.ts";

/** Infinity: no bound. */
export interface JobBounds {
  /** All that run. */
  readonly maxJobs: number;
  /** Those that one certificate name has started. */
  readonly maxJobsPerUser: number;
}

/**
 * Makes sure that another job may be started.
 *
 * @param owners Who has started each of the jobs that run, or are being started.
 * @param owner Who wants to start one.
 * @throws {JobError} "exhausted", with the name of the bound.
 */
export function requireRoom(
  owners: readonly string[],
  owner: string,
  { maxJobs, maxJobsPerUser }: JobBounds,
): void {
  const own = owners.filter((other) => other === owner).length;
  if (own >= maxJobsPerUser) {
    throw refusal(`${owner} has ${own} jobs running, the most that --max-jobs-per-user allows`);
  }
  if (owners.length >= maxJobs) {
    throw refusal(`${owners.length} jobs are running, the most that --max-jobs allows`);
  }
}

function refusal(reason: string): JobError {
  return new JobError("exhausted", `Cannot start the job: ${reason}; stop one, or wait for an end`);
}
