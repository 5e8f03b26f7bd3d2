/** Jobs for the page's table, of which the text search is ours: the server knows no such thing. */
import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";
import { describeCommand } from "../screen/format.ts";
import type { Session } from "../connection/session.ts";
import type { FoundJobs } from "./protocol.ts";

/** Jobs in one answer of the server while a text is looked for. */
const SCAN_PAGE_SIZE = 500;

/** So many jobs are looked at for one answer; the page can ask to go on. */
export const MAX_SCANNED_JOBS = 5_000;

/** Which jobs, and where to go on. */
export interface JobSearch extends ListRequest {
  readonly pageSize: number;
  readonly pageToken: string;
  /** What stands in a job's id, name, command, owner, user or labels; empty: all. */
  readonly text: string;
}

/**
 * Looks for jobs.
 *
 * @throws {ClientError} As the server says.
 */
export async function findJobs(
  { text, pageToken, pageSize, ...request }: JobSearch,
  session: Session,
): Promise<FoundJobs> {
  // The page asks again by itself, and should say at once that nobody answers.
  const list = async (pageSize: number, pageToken: string) =>
    await session.call("List", { ...request, pageSize, pageToken }, { retryForMs: 0 });
  if (text === "") {
    const { jobs, nextPageToken } = await list(pageSize, pageToken);
    return { jobs, nextPageToken, scannedJobs: jobs.length };
  }
  const found: QueryResponse__Output[] = [];
  let scannedJobs = 0;
  let nextPageToken = pageToken;
  do {
    const page = await list(SCAN_PAGE_SIZE, nextPageToken);
    found.push(...page.jobs.filter((job) => matches(job, text)));
    scannedJobs += page.jobs.length;
    nextPageToken = page.nextPageToken;
  } while (nextPageToken !== "" && found.length < pageSize && scannedJobs < MAX_SCANNED_JOBS);
  return { jobs: found, nextPageToken, scannedJobs };
}

/** Whether all words of a text stand somewhere in what a job is known by, in any case. */
export function matches(job: QueryResponse__Output, text: string): boolean {
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
  const facts = [job.jobID, job.title, describeCommand(job), job.owner, job.user, ...labels]
    .join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => facts.includes(word));
}
