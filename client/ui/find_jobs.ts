/** Jobs for the page's table, searched by what the server does not search by. */
import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";
import { hasFailed } from "../jobs/ending.ts";
import { listPage } from "../jobs/list.ts";
import { describeCommand } from "../screen/command.ts";
import type { Session } from "../connection/session.ts";
import type { FoundJobs, ReadJob } from "./protocol.ts";
import { timed } from "./read_time.ts";

/** Jobs in one answer of the server while searching. */
const SCAN_PAGE_SIZE = 500;

/** How many jobs are searched for one answer; the page can request the next ones. */
export const MAX_SCANNED_JOBS = 5_000;

/** Which jobs, and where to continue. */
export interface JobSearch extends ListRequest {
  readonly pageSize: number;
  readonly pageToken: string;
  /** A text in a job's id, name, command, owner, user, queue or labels; empty: all jobs. */
  readonly text: string;
  /** Jobs that have failed, alone. */
  readonly onlyFailed: boolean;
}

/**
 * Searches for jobs.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function findJobs(
  { text, onlyFailed, pageToken, pageSize, ...filter }: JobSearch,
  session: Session,
): Promise<FoundJobs> {
  // A server before this filter sends all.
  const request = { ...filter, failedOnly: onlyFailed };
  // No retries: the page polls, and should show at once that the server cannot be reached.
  const list = async (pageSize: number, pageToken: string) =>
    await timed(() => listPage(session, { ...request, pageSize, pageToken }, { retryForMs: 0 }));
  if (text === "" && !onlyFailed) {
    const { answer, readAt } = await list(pageSize, pageToken);
    const jobs = answer.jobs.map((job) => ({ job, readAt }));
    return { jobs, nextPageToken: answer.nextPageToken, scannedJobs: jobs.length };
  }
  const found: ReadJob[] = [];
  let scannedJobs = 0;
  let nextPageToken = pageToken;
  do {
    const { answer: page, readAt } = await list(SCAN_PAGE_SIZE, nextPageToken);
    for (const job of page.jobs) {
      if (matches(job, text) && (!onlyFailed || hasFailed(job))) found.push({ job, readAt });
    }
    scannedJobs += page.jobs.length;
    nextPageToken = page.nextPageToken;
  } while (nextPageToken !== "" && found.length < pageSize && scannedJobs < MAX_SCANNED_JOBS);
  return { jobs: found, nextPageToken, scannedJobs };
}

/** Whether all words of a text occur in a job's searchable fields, ignoring case. */
export function matches(job: QueryResponse__Output, text: string): boolean {
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
  const facts = [
    job.jobID,
    job.title,
    describeCommand(job),
    job.owner,
    job.user,
    job.queue,
    ...labels,
  ]
    .join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => facts.includes(word));
}
