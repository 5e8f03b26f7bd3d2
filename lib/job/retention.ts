/** Which finished jobs are kept. Pure. */
import type { EndedJob } from "../store.ts";

/** What is kept of finished jobs; a running one is never removed. */
export interface Retention {
  /** Since the end of a job. */
  readonly retainAgeMs: number;
  readonly retainCount: number;
  /** What the output of all finished jobs takes on disk. */
  readonly retainBytes: number;
}

/**
 * Which of the oldest finished jobs are to be removed.
 *
 * @param oldest The oldest first.
 * @param totals Of all finished jobs.
 */
export function expiredJobs(
  oldest: readonly EndedJob[],
  totals: { readonly count: number; readonly outputBytes: number },
  retention: Retention & { readonly nowMs: number },
): EndedJob[] {
  let { count, outputBytes } = totals;
  const expired: EndedJob[] = [];
  for (const job of oldest) {
    const isOld = job.endedAtMs < retention.nowMs - retention.retainAgeMs;
    if (!isOld && count <= retention.retainCount && outputBytes <= retention.retainBytes) break;
    expired.push(job);
    count -= 1;
    outputBytes -= job.outputBytes;
  }
  return expired;
}
