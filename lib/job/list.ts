/** Lists of jobs: which are asked for, and page by page. */
import { JobError, quoted } from "../errors.ts";
import type { JobRecord, JobState } from "../model/record.ts";
import type { JobCursor, JobStore } from "../store.ts";

/** Which jobs are asked for. */
export interface JobQuery {
  /** Empty: all. */
  readonly states: readonly JobState["kind"][];
  /** Undefined: everybody's. */
  readonly owner: string | undefined;
  /** All of them. */
  readonly labels: Readonly<Record<string, string>>;
  readonly startedAfterMs: number;
  /** Infinity: no bound. */
  readonly startedBeforeMs: number;
  /** 0: the default. */
  readonly pageSize: number;
  /** Empty: the first page. */
  readonly pageToken: string;
  /** Whether the counters of running jobs are read. */
  readonly withUsage: boolean;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

/** Records that are looked through at once; other calls have their turn in between. */
const SCAN_COUNT = 500;

const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9_./-]*$/;

const TOKEN = /^(\d{1,16})\.([0-9a-f-]{36})$/;

/**
 * Reads one page.
 *
 * @returns The records, the newest first, and what asks for the next page: empty when there is none.
 * @throws {JobError} "invalid" for a token that no page had, or a label's name that is none.
 */
export async function listPage(
  store: JobStore,
  query: JobQuery,
): Promise<{ records: JobRecord[]; nextPageToken: string }> {
  const { states, owner, labels, startedAfterMs, startedBeforeMs, pageToken } = query;
  for (const name of Object.keys(labels)) {
    if (!LABEL_NAME.test(name)) throw invalid(`${quoted(name)} is no name of a label`);
  }
  const filter = {
    activeOnly: states.length > 0 && states.every((state) => ACTIVE.includes(state)),
    states,
    owner,
    labels,
    createdAfterMs: startedAfterMs,
  };
  const size = Math.min(query.pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
  const records: JobRecord[] = [];
  let lastOfPage: JobCursor | undefined;
  let cursor = pageToken === "" ? beginOf(startedBeforeMs) : parseToken(pageToken);
  for (;;) {
    const { found, last } = store.scan(filter, { cursor, scanCount: SCAN_COUNT });
    for (const entry of found) {
      // One more than the page holds: so it is known that there is a next one.
      if (records.length === size) return { records, nextPageToken: tokenOf(lastOfPage) };
      records.push(entry.record);
      lastOfPage = entry.cursor;
    }
    if (last === undefined) return { records, nextPageToken: "" };
    cursor = last;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

const ACTIVE: readonly JobState["kind"][] = ["running", "stopping"];

function beginOf(startedBeforeMs: number): JobCursor | undefined {
  return startedBeforeMs === Infinity ? undefined : { createdAtMs: startedBeforeMs, id: "" };
}

function tokenOf(cursor: JobCursor | undefined): string {
  return cursor === undefined ? "" : `${cursor.createdAtMs}.${cursor.id}`;
}

function parseToken(token: string): JobCursor {
  const match = TOKEN.exec(token);
  if (match === null) throw invalid("the page token is none that an answer had");
  return { createdAtMs: Number(match[1]), id: match[2] ?? "" };
}

function invalid(problem: string): JobError {
  return new JobError("invalid", `Cannot list jobs: ${problem}`);
}
