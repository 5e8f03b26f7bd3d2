import type {
  ListRequest,
  ListResponse__Output,
  QueryResponse__Output,
} from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";

/** Jobs in one answer; a longer list takes more calls. */
const PAGE_SIZE = 500;

/** How a list is read. */
export interface ListOptions extends Omit<CallOptions, "probedJobID"> {
  /** At most so many, the newest. */
  readonly limit?: number | undefined;
  /** Which of the server's answers are meant; all unless given. */
  readonly matches?: (job: QueryResponse__Output) => boolean;
}

/**
 * The jobs that match, the newest first, over as many pages as it takes.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function* listJobs(
  session: Session,
  request: ListRequest,
  { limit = Infinity, matches, ...options }: ListOptions = {},
): AsyncGenerator<QueryResponse__Output> {
  let left = limit;
  let pageToken = "";
  do {
    // Also a limit of 0 makes a call: the server may refuse this caller.
    const isExact = matches === undefined || request.failedOnly === true;
    const pageSize = Math.max(1, Math.min(isExact ? left : Infinity, PAGE_SIZE));
    const page = await listPage(session, { ...request, pageSize, pageToken }, options);
    const jobs = page.jobs.filter((job) => isOfQueue(job, request) && (matches?.(job) ?? true));
    yield* jobs.slice(0, left);
    left -= jobs.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}

/** Whether a job is of the queue that is asked for: a server before this filter sends all. */
function isOfQueue(job: QueryResponse__Output, { queue }: ListRequest): boolean {
  return queue === undefined || job.queue === queue;
}

/** States that servers before clusters do not know; no job of theirs is in one of them. */
const LATER_STATES: ReadonlySet<unknown> = new Set(["JOB_STATE_PENDING", "JOB_STATE_NEVER_RAN"]);

/**
 * One page of a list.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function listPage(
  session: Pick<Session, "call">,
  request: ListRequest,
  options: Omit<CallOptions, "probedJobID"> = {},
): Promise<ListResponse__Output> {
  const { states = [] } = request;
  const known = states.filter((state) => !LATER_STATES.has(state));
  try {
    return await session.call("List", request, options);
  } catch (error) {
    if (known.length === states.length) throw error;
    if (!isRefusedAsInvalid(error) || known.length === 0) throw error;
    return await session.call("List", { ...request, states: known }, options);
  }
}

function isRefusedAsInvalid(error: unknown): boolean {
  return error instanceof RefusedCallError && error.code === GrpcStatus.invalidArgument;
}
