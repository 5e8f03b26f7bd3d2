import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";

/** Jobs in one answer; a longer list takes more calls. */
const PAGE_SIZE = 500;

/** How a list is read. */
export interface ListOptions extends Omit<CallOptions, "probedJobID"> {
  /** At most so many, the newest. */
  readonly limit?: number | undefined;
}

/**
 * The jobs that match, the newest first, over as many pages as it takes.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function* listJobs(
  session: Session,
  request: ListRequest,
  { limit = Infinity, ...options }: ListOptions = {},
): AsyncGenerator<QueryResponse__Output> {
  let left = limit;
  let pageToken = "";
  do {
    // Also a limit of 0 makes a call: the server may refuse this caller.
    const pageSize = Math.max(1, Math.min(left, PAGE_SIZE));
    const page = await session.call("List", { ...request, pageSize, pageToken }, options);
    yield* page.jobs.slice(0, left);
    left -= page.jobs.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}
