/** The order in which jobs are printed. Pure. */
import type { PlacedJob } from "../jobs/placed_job.ts";
import { shortState } from "./format.ts";

type Job = PlacedJob["job"];

/** What jobs can be sorted by: the columns of the table, and the size of the output. */
const KEYS = {
  started: (job: Job) => job.startedAtMs,
  ended: (job: Job) => job.endedAtMs || Infinity,
  took: (job: Job, nowMs: number) => (job.endedAtMs || nowMs) - job.startedAtMs,
  name: (job: Job) => job.title,
  state: (job: Job) => shortState(job),
  exit: (job: Job) => job.exited ? job.exitCode : Infinity,
  owner: (job: Job) => job.owner,
  output: (job: Job) => job.outputBytes,
} as const;

/** One of the keys. */
export type SortKey = keyof typeof KEYS;

export const SORT_KEYS = Object.keys(KEYS) as readonly SortKey[];

/** Sorted by a key, the least first; jobs of which it is the same stay in their order. */
export function sortJobs(
  jobs: readonly PlacedJob[],
  key: SortKey,
  nowMs: number,
): PlacedJob[] {
  return jobs.toSorted((one, other) => {
    const [a, b] = [KEYS[key](one.job, nowMs), KEYS[key](other.job, nowMs)];
    return a < b ? -1 : a > b ? 1 : 0;
  });
}
