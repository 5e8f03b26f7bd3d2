import type { QueryResponse__Output } from "../../proto/contract.ts";
import { toListRequest } from "./state.ts";
import { listJobs, type ListOptions } from "./list.ts";
import { pause } from "../connection/abort.ts";
import type { Session } from "../connection/session.ts";

/** What one look at the running jobs has found. */
export interface Sample {
  readonly atMs: number;
  readonly jobs: readonly QueryResponse__Output[];
}

/** Looks at the running jobs that have these labels. */
export async function sampleUsage(
  session: Session,
  labels: Readonly<Record<string, string>>,
  options: ListOptions = {},
): Promise<Sample> {
  const request = toListRequest({ states: ["running", "stopping"], labels, withUsage: true });
  const jobs: QueryResponse__Output[] = [];
  // The library goes to runtimes without Array.fromAsync.
  for await (const job of listJobs(session, request, options)) jobs.push(job);
  return { atMs: performance.now(), jobs };
}

/**
 * What running jobs use, measured between two looks.
 *
 * @throws {ClientError} As the server says.
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

/** A job, and what it has used a second between two looks. */
export interface Rated {
  readonly job: QueryResponse__Output;
  readonly rates: {
    readonly cpuPercent: number | null;
    readonly readBytesPerSecond: number | null;
    readonly writtenBytesPerSecond: number | null;
  };
}

/** What each job of the later look has used a second since the earlier one. */
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
