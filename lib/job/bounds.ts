/** How many jobs may run at once, in all and for each user. Pure. */
import { JobError } from "../errors.ts";

/** Bounds on the jobs that run; Infinity: no bound. */
export interface JobBounds {
  /** Of all users together. */
  readonly maxJobs: number;
  /** Of one user, by the common name of the certificate. */
  readonly maxJobsPerUser: number;
}

/**
 * Makes sure that another job may be started.
 *
 * @param owners The owner of each job that runs or is being started.
 * @param owner Who is about to start one.
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
