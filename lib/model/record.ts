/** The record of a job: its states, and which may follow which. Pure. */
import type { Usage } from "../cgroup/types.ts";
import type { Command, Ending } from "./ending.ts";
import type { EngineStatus } from "./engine.ts";
import type { JobSettings } from "./settings.ts";
import type { Limits } from "../limits.ts";

/** Where a job is, for its executor alone: JSON that nobody else reads. */
export type Handle = Readonly<Record<string, unknown>>;

/**
 * A job's state, with its data.
 *
 * ```text
 * starting -> running -> stopping -> exited | lost
 *                    \-------------> exited | lost
 * ```
 *
 * Where jobs wait for their turn, a job is `pending` between `starting` and `running`, may be stopped
 * there, and ends as `never-ran` where it does not run.
 */
export type JobState =
  | { readonly kind: "starting" }
  /**
   * `openAfter`: it waits on this host, and its executor has not been given it; these jobs are to exit with 0
   * before.
   */
  | { readonly kind: "pending"; readonly openAfter?: readonly string[] }
  | ({ readonly kind: "running" } & Begun)
  /**
   * Stop was called: SIGKILL follows at `killAtMs`. `mainOnly`: its signal is for the main process alone.
   * A job that has not begun has 0 as its process id and its time.
   */
  | ({ readonly kind: "stopping"; readonly killAtMs: number; readonly mainOnly?: true } & Begun)
  | (Begun & Exclude<Ending, { kind: "never-ran" }>)
  | Extract<Ending, { kind: "never-ran" }>;

/** What is known of a job from its start on. */
export interface Begun {
  /** The process id of its main process. */
  readonly pid: number;
  readonly startedAtMs: number;
  /** The cluster's node that it runs on, or ran on; absent: the server's own host. */
  readonly node?: string;
}

/** What is known of the beginning of a job that has not begun. */
export const NOT_BEGUN: Begun = { pid: 0, startedAtMs: 0 };

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
  /** What Updates have made of the asked limits; absent: there was none. */
  readonly ownLimits?: Readonly<Limits>;
  /** The limits that an Update is setting in the kernel: which ones hold is not known until it is done. */
  readonly comingLimits?: ComingLimits;
  /** From the executor, which alone can read it. */
  readonly handle: Handle;
  /**
   * How often it was given to its executor, where the first time came to nothing before it ran; each has a
   * folder of its own for what launchers write. Absent: once, or not yet.
   */
  readonly attempt?: number;
  /** What the engine said when the state changed last; absent: there is no engine. */
  readonly engine?: EngineStatus;
  readonly state: JobState;
  /** Bytes of output before this one were rotated away. */
  readonly firstOffset: number;
  /**
   * The size of the whole output of a job that has ended, with what is missing; absent: an earlier server
   * recorded the end.
   */
  readonly outputBytes?: number;
  /** The same of its standard error, where that is kept apart. */
  readonly stderrBytes?: number;
  /** Bytes of that before this one were rotated away; absent: none. */
  readonly stderrFirstOffset?: number;
}

/** Limits that are being set. */
export interface ComingLimits {
  readonly limits: Readonly<Limits>;
  readonly ownLimits: Readonly<Limits>;
}

/** The limits that a job has been given of its own, by its Start and by Updates. */
export function ownLimitsOf({ ownLimits, askedLimits, limits }: JobRecord): Readonly<Limits> {
  return ownLimits ?? askedLimits ?? limits;
}

/** Whether a job has ended: its state is final. */
export function hasEnded(state: JobState): state is Extract<JobState, { endedAtMs: number }> {
  return "endedAtMs" in state;
}

/** Whether a job waits on this host, and its executor does not know it. */
export function isHeld(
  state: JobState,
): state is { readonly kind: "pending"; readonly openAfter: readonly string[] } {
  return state.kind === "pending" && state.openAfter !== undefined;
}

/** Whether the command of a job runs, or is being stopped while it runs. */
export function isRunning(
  state: JobState,
): state is Extract<JobState, { kind: "running" | "stopping" }> {
  return state.kind === "running" || state.kind === "stopping" && state.startedAtMs !== 0;
}

const SUCCESSORS: Record<JobState["kind"], readonly JobState["kind"][]> = {
  starting: ["pending", "running", "exited", "lost", "never-ran"],
  // The news of a short job's beginning and end may come together. On a host it is held, then given away.
  pending: ["pending", "running", "stopping", "exited", "lost", "never-ran"],
  // A record that was made again learns its process id.
  running: ["running", "stopping", "exited", "lost"],
  // A second Stop with a shorter grace period makes SIGKILL come earlier; and a job may begin meanwhile.
  stopping: ["stopping", "exited", "lost", "never-ran"],
  exited: [],
  lost: [],
  "never-ran": [],
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
