import type { Session } from "../connection/session.ts";

const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The whole id of the job that a text stands for. Whoever calls more than once asks first: by then a
 * name may be another job's.
 *
 * @param text An id, the beginning of one, or a name.
 * @throws {ClientError} There is no such job.
 */
export async function resolveJobID(
  session: Session,
  text: string,
  signal?: AbortSignal,
): Promise<string> {
  if (JOB_ID.test(text)) return text;
  const { jobID } = await session.call("Query", { jobID: text }, { signal });
  return jobID === "" ? text : jobID;
}
