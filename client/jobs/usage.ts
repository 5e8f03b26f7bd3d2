import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ACTIVE_STATES, toListRequest } from "./state.ts";
import { listJobs, type ListOptions } from "./list.ts";
import { pause } from "../connection/abort.ts";
import type { Session } from "../connection/session.ts";

/** The usage of running jobs at one moment. */
export interface Sample {
  readonly atMs: number;
  readonly jobs: readonly QueryResponse__Output[];
}

/** Queries the running jobs that have these labels. */
export async function sampleUsage(
  session: Session,
  labels: Readonly<Record<string, string>>,
  options: ListOptions = {},
): Promise<Sample> {
  const request = toListRequest({ states: ACTIVE_STATES, labels, withUsage: true });
  const jobs: QueryResponse__Output[] = [];
  // The library also runs on runtimes without Array.fromAsync.
  for await (const job of listJobs(session, request, options)) jobs.push(job);
  return { atMs: performance.now(), jobs };
}

/**
 * The resource usage of running jobs, measured between two samples.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 * @throws The signal's reason.
 */
export async function measureUsage(
  session: Session,
  { labels, intervalMs, signal }: {
    labels: Readonly<Record<string, string>>;
    intervalMs: number;
    signal?: AbortSignal;
  },
): Promise<Rated[]> {
  const before = await sampleUsage(session, labels, { signal });
  if (before.jobs.length === 0) return [];
  await pause(intervalMs, signal);
  return ratesOf(before, await sampleUsage(session, labels, { signal }));
}

/** A job, and its usage per second between two samples. */
export interface Rated {
  readonly job: QueryResponse__Output;
  readonly rates: {
    readonly cpuPercent: number | null;
    readonly readBytesPerSecond: number | null;
    readonly writtenBytesPerSecond: number | null;
  };
}

/** The usage per second of each job in the later sample since the earlier one. */
export function ratesOf(before: Sample, after: Sample): Rated[] {
  const seconds = (after.atMs - before.atMs) / 1000;
  const earlier = new Map(before.jobs.map((job) => [job.jobID, job.usage]));
  return after.jobs.map((job) => {
    const rate = (name: "cpuUsec" | "readBytes" | "writtenBytes") => {
      const [from, to] = [earlier.get(job.jobID)?.[name], job.usage?.[name]];
      return typeof from === "number" && typeof to === "number" && seconds > 0
        ? (to - from) / seconds
        : null;
    };
    const cpu = rate("cpuUsec");
    return {
      job,
      rates: {
        cpuPercent: cpu === null ? null : Math.round(cpu / 1000) / 10,
        readBytesPerSecond: rate("readBytes"),
        writtenBytesPerSecond: rate("writtenBytes"),
      },
    };
  });
}
