/** Lists of jobs: which are asked for, and page by page. */
import { isJobId } from "../../common/job_id.ts";
import { JobError, quoted } from "../errors.ts";
import type { JobRecord, JobState } from "../model/record.ts";
import { isLabelName, LABEL_NAME_EXPECTED, MAX_LABELS } from "../model/settings.ts";
import type { JobCursor, JobStore } from "../store.ts";

/** Which jobs are asked for. */
export interface JobQuery {
  /** Empty: all. */
  readonly states: readonly JobState["kind"][];
  /** Undefined: all owners'. */
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
  /** Whether only jobs are meant that have ended otherwise than with exit code 0. */
  readonly failedOnly?: boolean;
  /** The queue of the host in which they wait, or have waited; undefined: any, or none. */
  readonly queue?: string | undefined;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

/**
 * The size of a page's records at which it ends, about: a record may have a command of 1 MiB, and an
 * answer must not fill the memory.
 */
const MAX_PAGE_BYTES = 2 * 1024 ** 2;

/** Records that are looked through before other calls have their turn: some 0.5 ms. */
const SCAN_COUNT = 1000;

/** The same where each of them has to be read. */
const READ_COUNT = 100;

/** The time and the id of the last job of a page; the time is at most 2^53 - 1. */
const TOKEN = /^(\d{1,16})\.(.+)$/;

/**
 * Reads one page.
 *
 * @param signal Ends the search early, with its reason.
 * @returns The records, the newest first, and what asks for the next page: empty when there is none.
 * @throws {JobError} "invalid" for a page token that no page had, or labels that no job can have.
 */
export async function listPage(
  store: JobStore,
  query: JobQuery,
  signal?: AbortSignal,
): Promise<{ records: JobRecord[]; nextPageToken: string }> {
  const {
    states,
    owner,
    labels,
    startedAfterMs,
    startedBeforeMs,
    pageToken,
    failedOnly = false,
    queue,
  } = query;
  checkLabels(labels, "list jobs");
  const filter = {
    activeOnly: states.length > 0 && states.every((state) => ACTIVE.includes(state)),
    states,
    owner,
    labels,
    createdAfterMs: startedAfterMs,
    failedOnly,
    queue,
  };
  const scanCount = failedOnly || queue !== undefined ? READ_COUNT : SCAN_COUNT;
  const size = Math.min(query.pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
  const records: JobRecord[] = [];
  let pageBytes = 0;
  let lastOfPage: JobCursor | undefined;
  let cursor = pageToken === "" ? beginOf(startedBeforeMs) : parseToken(pageToken);
  for (;;) {
    const { found, last } = store.scan(filter, { cursor, scanCount });
    for (const entry of found) {
      // One more than the page holds: there is a next page.
      if (records.length === size || pageBytes > MAX_PAGE_BYTES) {
        return { records, nextPageToken: tokenOf(lastOfPage) };
      }
      records.push(entry.record);
      lastOfPage = entry.cursor;
      pageBytes += entry.bytes;
    }
    if (last === undefined) return { records, nextPageToken: "" };
    cursor = last;
    await nextTurn();
    signal?.throwIfAborted();
  }
}

/**
 * Checks labels to search by.
 *
 * @param what The work, for the error.
 * @throws {JobError} "invalid" for labels that no job can have.
 */
export function checkLabels(labels: Readonly<Record<string, string>>, what: string): void {
  const names = Object.keys(labels);
  const wrong = names.find((name) => !isLabelName(name));
  const problem = names.length > MAX_LABELS
    ? `no job has more than ${MAX_LABELS} labels`
    : wrong === undefined
    ? undefined
    : `${quoted(wrong)} is not a valid label name: ${LABEL_NAME_EXPECTED}`;
  if (problem !== undefined) throw new JobError("invalid", `Cannot ${what}: ${problem}`);
}

/** The turn of the search that has asked last. */
let lastTurn = Promise.resolve();

/**
 * Searches take turns, in the order of asking, and other calls are served after each: so many
 * searches delay others no more than one does.
 */
export function nextTurn(): Promise<void> {
  return lastTurn = lastTurn.then(() => new Promise((resolve) => setTimeout(resolve, 0)));
}

const ACTIVE: readonly JobState["kind"][] = ["pending", "running", "stopping"];

function beginOf(startedBeforeMs: number): JobCursor | undefined {
  return startedBeforeMs === Infinity ? undefined : { createdAtMs: startedBeforeMs, id: "" };
}

function tokenOf(cursor: JobCursor | undefined): string {
  return cursor === undefined ? "" : `${cursor.createdAtMs}.${cursor.id}`;
}

function parseToken(token: string): JobCursor {
  const [, createdAtMs, id = ""] = TOKEN.exec(token) ?? [];
  if (!isJobId(id)) throw invalid("the page token is not one from an earlier answer");
  return { createdAtMs: Number(createdAtMs), id };
}

function invalid(problem: string): JobError {
  return new JobError("invalid", `Cannot list jobs: ${problem}`);
}
