/** Which finished jobs are kept. Pure. */
import type { EndedJob } from "../store.ts";

/** What is kept of finished jobs; a running one is never removed. */
export interface Retention {
  /** Milliseconds since the end of a job. */
  retainAgeMs: number;
  retainCount: number;
  /** Bytes on disk of all finished jobs' output. */
  retainBytes: number;
}

/** Which of the oldest finished jobs go. Pure. */
export function expiredJobs(
  oldest: readonly EndedJob[],
  totals: { count: number; outputBytes: number },
  retention: Retention & { nowMs: number },
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
