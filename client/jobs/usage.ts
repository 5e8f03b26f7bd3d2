import type { QueryResponse__Output } from "../../proto/contract.ts";
import { countedMsBetween } from "./counted_usage.ts";
import { ACTIVE_STATES, stateOf, toListRequest } from "./state.ts";
import { listJobs, type ListOptions } from "./list.ts";
import { pause } from "../connection/abort.ts";
import type { Session } from "../connection/session.ts";

/** How long is waited for the nodes of a cluster, which count only while somebody looks. */
const MAX_NODE_WAIT_MS = 8000;

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
 * The resource usage of running jobs, measured between two samples; on a cluster between two counts of a job's
 * node, for which some seconds are waited.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 * @throws The signal's reason.
 */
export async function measureUsage(
  session: Session,
  { labels, intervalMs, ...options }: {
    labels: Readonly<Record<string, string>>;
    intervalMs: number;
  } & Pick<ListOptions, "matches" | "signal">,
): Promise<Rated[]> {
  let before = await sampleUsage(session, labels, options);
  if (before.jobs.length === 0) return [];
  const deadlineMs = before.atMs + Math.max(intervalMs, MAX_NODE_WAIT_MS);
  for (;;) {
    await pause(intervalMs, options.signal);
    const after = await sampleUsage(session, labels, options);
    const rated = ratesOf(before, after);
    if (!rated.some(isAwaited) || after.atMs + intervalMs > deadlineMs) return rated;
    before = withFirstCounts(before, after);
  }
}

/** Whether a job of a cluster has no rates yet since its node has not counted twice. */
function isAwaited({ job, rates }: Rated): boolean {
  const isRunning = ["running", "stopping"].includes(stateOf(job));
  return isRunning && job.engineJob !== "" && rates.cpuPercent === null;
}

/** The first sample, with the counts that have come since. */
function withFirstCounts(before: Sample, after: Sample): Sample {
  const earlier = new Map(before.jobs.map((job) => [job.jobID, job]));
  const jobs = after.jobs.map((job) => {
    const first = earlier.get(job.jobID);
    return typeof first?.usage?.asOfMs === "number" ? first : job;
  });
  return { ...before, jobs };
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
  const earlier = new Map(before.jobs.map((job) => [job.jobID, job.usage]));
  return after.jobs.map((job) => {
    const earlierUsage = earlier.get(job.jobID);
    const seconds = (countedMsBetween(earlierUsage, job.usage) ?? after.atMs - before.atMs) / 1000;
    const rate = (name: "cpuUsec" | "readBytes" | "writtenBytes") => {
      const [from, to] = [earlierUsage?.[name], job.usage?.[name]];
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
