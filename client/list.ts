import type { ListRequest, QueryResponse__Output } from "../proto/contract.ts";
import type { CallOptions, Session } from "./session.ts";

/** Jobs in one answer; a longer list takes more calls, each of which is short. */
const PAGE_SIZE = 500;

/**
 * The jobs that match, the newest first, as many pages as it takes.
 *
 * @throws {ClientError} As the server says.
 */
export async function* listJobs(
  session: Session,
  request: ListRequest,
  options: CallOptions = {},
): AsyncGenerator<QueryResponse__Output> {
  let pageToken = "";
  do {
    const page = await session.call(
      "List",
      { pageSize: PAGE_SIZE, ...request, pageToken },
      options,
    );
    yield* page.jobs;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
