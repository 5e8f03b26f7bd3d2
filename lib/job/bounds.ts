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

/** How many jobs there are, of those that a bound is about. */
export interface JobCounts {
  /** Of the owner who is about to start another. */
  readonly own: number;
  readonly all: number;
}

/**
 * Makes sure that another job may run.
 *
 * @param owner Who is about to start it.
 * @throws {JobError} "exhausted", with the name of the bound.
 */
export function requireRoom(
  { own, all }: JobCounts,
  owner: string,
  { maxJobs, maxJobsPerUser }: Pick<JobBounds, "maxJobs" | "maxJobsPerUser">,
): void {
  if (own >= maxJobsPerUser) {
    throw refusal(`${owner} has ${own} jobs running, the most that --max-jobs-per-user allows`);
  }
  if (all >= maxJobs) {
    throw refusal(`${all} jobs are running, the most that --max-jobs allows`);
  }
}

/**
 * Makes sure that another job may wait on this host.
 *
 * @param owner Who is about to start it.
 * @throws {JobError} "exhausted", with the name of the bound.
 */
export function requireRoomToWait(
  { own, all }: JobCounts,
  owner: string,
  { maxWaitingJobs, maxWaitingJobsPerUser }: JobBounds,
): void {
  if (own >= maxWaitingJobsPerUser) {
    throw refusal(
      `${owner} has ${own} jobs waiting, the most that --max-waiting-jobs-per-user allows`,
    );
  }
  if (all >= maxWaitingJobs) {
    throw refusal(`${all} jobs are waiting, the most that --max-waiting-jobs allows`);
  }
}

function refusal(reason: string): JobError {
  return new JobError("exhausted", `Cannot start the job: ${reason}; stop one, or wait for an end`);
}
