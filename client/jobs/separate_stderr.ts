/** Whether a job keeps its standard error apart. A server that does not know of it keeps both together. */
import { ClientError, GrpcStatus, RefusedCallError } from "../errors.ts";
import type { CallOptions, Session } from "../connection/session.ts";

type Calls = Pick<Session, "call">;

/**
 * Checks that a job's standard error can be read: an earlier server would send the output in its place.
 *
 * @throws {ClientError} It is in the output.
 */
export async function checkSeparateStderr(
  session: Calls,
  jobID: string,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<void> {
  if ((await session.call("Query", { jobID }, { signal })).separateStderr) return;
  throw new RefusedCallError(
    `Job ${jobID} has no standard error of its own: it is in the output. Leave --stderr out; a start ` +
      "with --separate-stderr keeps it apart.",
    GrpcStatus.failedPrecondition,
  );
}

/** Whether a job that has just been started keeps it apart; undefined: that cannot be told now. */
export async function hasSeparateStderr(
  session: Calls,
  jobID: string,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<boolean | undefined> {
  try {
    return (await session.call("Query", { jobID }, { signal })).separateStderr;
  } catch (error) {
    // The job has been started, whatever became of this question.
    if (!(error instanceof ClientError)) throw error;
    return undefined;
  }
}
