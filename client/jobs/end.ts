import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";

/** Which job to stop, and how. */
export interface StopTarget {
  readonly jobID: string;
  /** Milliseconds between the stop signal and SIGKILL; undefined: the job's own, or the server's. */
  readonly graceMs?: number | undefined;
}

/**
 * Stops a job and waits until all its processes are gone.
 *
 * @throws {ClientError} As the server says.
 */
export async function stopJob(
  session: Session,
  { jobID, graceMs }: StopTarget,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<void> {
  const request = { jobID, ...(graceMs !== undefined && { gracePeriodMs: graceMs }) };
  await session.call("Stop", request, { probedJobID: jobID, signal });
}

/**
 * Waits until a job has ended.
 *
 * @param jobID Its whole id: a name may be another job's when the connection is made anew.
 * @throws {ClientError} There is no such job, or the server is away.
 */
export async function waitForJob(
  session: Session,
  jobID: string,
  options: Omit<CallOptions, "probedJobID">,
): Promise<QueryResponse__Output> {
  return await session.call("Wait", { jobID }, { ...options, probedJobID: jobID });
}
