import { isJobId } from "../../common/job_id.ts";
import type { Session } from "../connection/session.ts";

/**
 * The whole id of the job that a text stands for. A caller that makes several calls resolves it
 * first: between two calls a name can pass to another job.
 *
 * @param text An id, the beginning of one, or a name.
 * @throws {ClientError} There is no such job.
 */
export async function resolveJobID(
  session: Session,
  text: string,
  signal?: AbortSignal,
): Promise<string> {
  if (isJobId(text)) return text;
  const { jobID } = await session.call("Query", { jobID: text }, { signal });
  return jobID === "" ? text : jobID;
}
