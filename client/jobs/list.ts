import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";

/** Jobs in one answer; a longer list takes more calls, each of which is short. */
const PAGE_SIZE = 500;

/** How a list is read. */
export interface ListOptions extends Omit<CallOptions, "probedJobID"> {
  /** The newest so many only. */
  readonly limit?: number | undefined;
}

/**
 * The jobs that match, the newest first, as many pages as it takes.
 *
 * @throws {ClientError} As the server says.
 */
export async function* listJobs(
  session: Session,
  request: ListRequest,
  { limit = Infinity, ...options }: ListOptions = {},
): AsyncGenerator<QueryResponse__Output> {
  let left = limit;
  let pageToken = "";
  do {
    // Even nothing is asked for: the server may refuse this caller.
    const pageSize = Math.max(1, Math.min(left, PAGE_SIZE));
    const page = await session.call("List", { ...request, pageSize, pageToken }, options);
    yield* page.jobs.slice(0, left);
    left -= page.jobs.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}
