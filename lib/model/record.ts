/** The life of a job: its states, and which may follow which. Pure. */
import type { Placement, Usage } from "../cgroup/types.ts";
import type { Command, Ending } from "./ending.ts";
import type { JobSettings } from "./settings.ts";
import type { Limits } from "../limits.ts";

/**
 * A job's state, with its data.
 *
 * ```text
 * starting -> running -> stopping -> exited | lost
 *                    \-------------> exited | lost
 * ```
 */
export type JobState =
  | { kind: "starting" }
  | { kind: "running"; pid: number; startedAtMs: number }
  /** Stop was called: SIGKILL follows at `killAtMs`. */
  | { kind: "stopping"; pid: number; startedAtMs: number; killAtMs: number }
  | ({ kind: "exited" | "lost"; pid: number; startedAtMs: number } & Ending);

/** What is remembered of a job. */
export interface JobRecord {
  id: string;
  command: Command;
  /** Absent: an older server started the job, which had none to choose. */
  settings?: JobSettings;
  /** Whether its timeout is why it was stopped. */
  timedOut?: boolean;
  /** The common name of the certificate that started the job. */
  owner: string;
  /** Empty: the client gave none. */
  idempotencyKey: string;
  createdAtMs: number;
  limits: Limits;
  placement: Placement;
  state: JobState;
  /** Bytes of output before this one were rotated away. */
  firstOffset: number;
}

/** Whether a job has ended, and so nothing of it will change. */
export function hasEnded(
  state: JobState,
): state is Extract<JobState, { kind: "exited" | "lost" }> {
  return state.kind === "exited" || state.kind === "lost";
}

const SUCCESSORS: Record<JobState["kind"], readonly JobState["kind"][]> = {
  starting: ["running", "exited", "lost"],
  running: ["stopping", "exited", "lost"],
  // Stop again: with a shorter grace period the kill comes earlier.
  stopping: ["stopping", "exited", "lost"],
  exited: [],
  lost: [],
};

/**
 * Checks a change of state.
 *
 * @throws {Error} For a change that the life of a job does not know: a defect.
 */
export function requireTransition(from: JobState, to: JobState): void {
  if (!SUCCESSORS[from.kind].includes(to.kind)) {
    throw new Error(`a job cannot go from ${from.kind} to ${to.kind}`);
  }
}

/** The usage that is on record for a job that has ended. */
export function recordedUsage(state: JobState): Usage {
  return state.kind === "exited" && "usage" in state ? state.usage : {};
}
