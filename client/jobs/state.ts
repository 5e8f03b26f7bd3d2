import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";

/** The states of a job: the contract's names without their prefix, with hyphens. */
export const JOB_STATES = [
  "pending",
  "running",
  "stopping",
  "exited",
  "lost",
  "never-ran",
] as const;

/** The states of a job that has not ended. */
export const ACTIVE_STATES = ["pending", "running", "stopping"] as const;

/** One of {@linkcode JOB_STATES}. */
export type JobState = typeof JOB_STATES[number];

/** A job's state. */
export function stateOf(job: Pick<QueryResponse__Output, "state" | "exited">): JobState {
  const word = job.state.replace("JOB_STATE_", "").replace("_", "-").toLowerCase();
  // A server that implements only the first fields of the contract does not send a state.
  return JOB_STATES.find((state) => state === word) ?? (job.exited ? "exited" : "running");
}

/** A state by the contract's name. */
export function contractState(state: JobState) {
  // The type of `replace` is string; the type of the words is kept here.
  const word = state.toUpperCase().replace("-", "_") as
    | Exclude<Uppercase<JobState>, "NEVER-RAN">
    | "NEVER_RAN";
  return `JOB_STATE_${word}` as const;
}

/** The exit code; undefined for a job that has not ended, was lost or never ran. */
export function exitCodeOf(
  job: Pick<QueryResponse__Output, "state" | "exited" | "exitCode">,
): number | undefined {
  const hasCode = job.state !== "JOB_STATE_LOST" && job.state !== "JOB_STATE_NEVER_RAN";
  return job.exited && hasCode ? job.exitCode : undefined;
}

/** Which jobs; a field that is not given matches all. */
export interface JobFilter {
  readonly states?: readonly JobState[] | undefined;
  /** All of them. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly owner?: string | undefined;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly startedAfterMs?: number | undefined;
  readonly startedBeforeMs?: number | undefined;
  readonly withUsage?: boolean | undefined;
  /** Those that have failed; a server before this filter does not know it, and sends all. */
  readonly failedOnly?: boolean | undefined;
  /** The queue of the host in which they wait, or have waited. */
  readonly queue?: string | undefined;
}

/** The request that lists the jobs. */
export function toListRequest(filter: JobFilter): ListRequest {
  const { states = [], labels = {}, owner, startedAfterMs, startedBeforeMs, withUsage } = filter;
  const { failedOnly, queue } = filter;
  return {
    states: states.map(contractState),
    labels: { ...labels },
    ...(owner !== undefined && { owner }),
    ...(startedAfterMs !== undefined && { startedAfterMs }),
    ...(startedBeforeMs !== undefined && { startedBeforeMs }),
    ...(withUsage && { withUsage }),
    ...(failedOnly && { failedOnly }),
    ...(queue !== undefined && { queue }),
  };
}
