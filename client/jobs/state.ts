import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";

/** The states of a job: the contract's names without their prefix. */
export const JOB_STATES = ["running", "stopping", "exited", "lost"] as const;

/** One of {@linkcode JOB_STATES}. */
export type JobState = typeof JOB_STATES[number];

/** A job's state. */
export function stateOf(job: Pick<QueryResponse__Output, "state" | "exited">): JobState {
  const word = job.state.replace("JOB_STATE_", "").toLowerCase();
  // A server that implements only the first fields of the contract does not send a state.
  return JOB_STATES.find((state) => state === word) ?? (job.exited ? "exited" : "running");
}

/** Whether a text is the name of a state. */
export function isJobState(text: string): text is JobState {
  return (JOB_STATES as readonly string[]).includes(text);
}

/** The exit code; undefined for a job that runs or was lost. */
export function exitCodeOf(
  job: Pick<QueryResponse__Output, "state" | "exited" | "exitCode">,
): number | undefined {
  return job.exited && job.state !== "JOB_STATE_LOST" ? job.exitCode : undefined;
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
}

/** The request that lists the jobs. */
export function toListRequest(filter: JobFilter): ListRequest {
  const { states = [], labels = {}, owner, startedAfterMs, startedBeforeMs, withUsage } = filter;
  return {
    states: states.map((state) =>
      `JOB_STATE_${state.toUpperCase() as Uppercase<JobState>}` as const
    ),
    labels: { ...labels },
    ...(owner !== undefined && { owner }),
    ...(startedAfterMs !== undefined && { startedAfterMs }),
    ...(startedBeforeMs !== undefined && { startedBeforeMs }),
    ...(withUsage && { withUsage }),
  };
}
