/** How many jobs may run at once, and wait, in all and for each user. Pure. */
import { JobError } from "../errors.ts";

/** Bounds on jobs; Infinity: no bound. */
export interface JobBounds {
  /** Of all users together. */
  readonly maxJobs: number;
  /** Of one user, by the common name of the certificate. */
  readonly maxJobsPerUser: number;
  /** Jobs that wait on this host, of all users together. */
  readonly maxWaitingJobs: number;
  /** Of one user. */
  readonly maxWaitingJobsPerUser: number;
}

/**
 * Makes sure that another job may run.
 *
 * @param owners The owner of each job that runs or is being started.
 * @param owner Who is about to start one.
 * @throws {JobError} "exhausted", with the name of the bound.
 */
export function requireRoom(
  owners: readonly string[],
  owner: string,
  { maxJobs, maxJobsPerUser }: Pick<JobBounds, "maxJobs" | "maxJobsPerUser">,
): void {
  const own = owners.filter((other) => other === owner).length;
  if (own >= maxJobsPerUser) {
    throw refusal(`${owner} has ${own} jobs running, the most that --max-jobs-per-user allows`);
  }
  if (owners.length >= maxJobs) {
    throw refusal(`${owners.length} jobs are running, the most that --max-jobs allows`);
  }
}

/**
 * Makes sure that another job may wait on this host.
 *
 * @param owners As above, of those that wait.
 * @throws {JobError} "exhausted", with the name of the bound.
 */
export function requireRoomToWait(
  owners: readonly string[],
  owner: string,
  { maxWaitingJobs, maxWaitingJobsPerUser }: JobBounds,
): void {
  const own = owners.filter((other) => other === owner).length;
  if (own >= maxWaitingJobsPerUser) {
    throw refusal(
      `${owner} has ${own} jobs waiting, the most that --max-waiting-jobs-per-user allows`,
    );
  }
  if (owners.length >= maxWaitingJobs) {
    throw refusal(`${owners.length} jobs are waiting, the most that --max-waiting-jobs allows`);
  }
}

function refusal(reason: string): JobError {
  return new JobError("exhausted", `Cannot start the job: ${reason}; stop one, or wait for an end`);
}
