import type { QueryResponse__Output } from "../../proto/contract.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";
import type { CallOptions, Session } from "../connection/session.ts";

/** Which job to stop, and how. */
export interface StopTarget {
  readonly jobID: string;
  /** Milliseconds between the stop signal and SIGKILL; undefined: the job's own, or the server's. */
  readonly graceMs?: number | undefined;
  /** Whether the stop signal goes to the main process alone. */
  readonly mainOnly?: boolean | undefined;
}

/**
 * Stops a job and waits until all its processes have ended.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function stopJob(
  session: Session,
  { jobID, graceMs, mainOnly }: StopTarget,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<void> {
  const request = {
    jobID,
    ...(graceMs !== undefined && { gracePeriodMs: graceMs }),
    ...(mainOnly === true && { mainOnly }),
  };
  await session.call("Stop", request, { probedJobID: jobID, signal });
}

/**
 * Stops a job like {@linkcode stopJob}; one that has already ended is not an error.
 *
 * @throws {ClientError} Any other refusal, or the connection's failure.
 */
export async function stopUnlessEnded(...args: Parameters<typeof stopJob>): Promise<void> {
  try {
    await stopJob(...args);
  } catch (error) {
    const hasEnded = error instanceof RefusedCallError &&
      error.code === GrpcStatus.failedPrecondition;
    if (!hasEnded) throw error;
  }
}

/**
 * Waits until a job has ended.
 *
 * @param jobID Its whole id: a name can pass to another job before a retry.
 * @throws {ClientError} There is no such job, or the server cannot be reached.
 */
export async function waitForJob(
  session: Session,
  jobID: string,
  options: Omit<CallOptions, "probedJobID">,
): Promise<QueryResponse__Output> {
  return await session.call("Wait", { jobID }, { ...options, probedJobID: jobID });
}
