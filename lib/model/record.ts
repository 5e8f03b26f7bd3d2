/** The record of a job: its states, and which may follow which. Pure. */
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
  | { readonly kind: "starting" }
  | ({ readonly kind: "running" } & Begun)
  /** Stop was called: SIGKILL follows at `killAtMs`. `mainOnly`: its signal is for the main process alone. */
  | ({ readonly kind: "stopping"; readonly killAtMs: number; readonly mainOnly?: true } & Begun)
  | (Begun & Ending);

/** What is known of a job from its start on. */
interface Begun {
  /** The process id of its main process. */
  readonly pid: number;
  readonly startedAtMs: number;
}

/**
 * What is on record of a job. A change makes another record (lib/job/active_jobs.ts does, and nothing
 * else): what was handed out stays as it was.
 */
export interface JobRecord {
  readonly id: string;
  readonly command: Command;
  /** Absent: an earlier server started the job, which had no settings. */
  readonly settings?: JobSettings;
  /** Whether it was stopped because its timeout was over. */
  readonly timedOut?: boolean;
  /** The common name of the certificate that stopped it; absent: none has. */
  readonly stoppedBy?: string;
  /** The common name of the certificate that started the job. */
  readonly owner: string;
  /** Empty: the client gave none. */
  readonly idempotencyKey: string;
  readonly createdAtMs: number;
  /** The limits that hold: the asked ones within the server's. */
  readonly limits: Readonly<Limits>;
  /** The limits that its Start asked for; absent: an earlier server started the job. */
  readonly askedLimits?: Readonly<Limits>;
  readonly placement: Placement;
  readonly state: JobState;
  /** Bytes of output before this one were rotated away. */
  readonly firstOffset: number;
  /**
   * The size of the whole output of a job that has ended, with what is missing; absent: an earlier server
   * recorded the end.
   */
  readonly outputBytes?: number;
}

/** Whether a job has ended: its state is final. */
export function hasEnded(
  state: JobState,
): state is Extract<JobState, { kind: "exited" | "lost" }> {
  return state.kind === "exited" || state.kind === "lost";
}

const SUCCESSORS: Record<JobState["kind"], readonly JobState["kind"][]> = {
  starting: ["running", "exited", "lost"],
  running: ["stopping", "exited", "lost"],
  // A second Stop with a shorter grace period makes SIGKILL come earlier.
  stopping: ["stopping", "exited", "lost"],
  exited: [],
  lost: [],
};

/**
 * Checks a change of state.
 *
 * @throws {Error} For a change that is not in the diagram of {@linkcode JobState}: a defect.
 */
export function requireTransition(from: JobState, to: JobState): void {
  if (!SUCCESSORS[from.kind].includes(to.kind)) {
    throw new Error(`a job cannot go from ${from.kind} to ${to.kind}`);
  }
}

/** The usage on record of a job that has ended; of one that is lost, none. */
export function recordedUsage(state: JobState): Usage {
  return state.kind === "exited" ? state.usage : {};
}
