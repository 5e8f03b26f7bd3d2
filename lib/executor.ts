/** How jobs are run: the interface. The local one is lib/executor/local.ts. */
import type { Placement, Usage } from "./cgroup/types.ts";
import type { Limits } from "./limits.ts";
import type { Command, Ending } from "./model/ending.ts";
import type { JobSecrets, JobSettings, SignalName } from "./model/settings.ts";

/** A job that runs. */
export interface Running {
  pid: number;
  /**
   * Settles when no process of the job is left and its last byte of output is written. Rejects where the
   * executor cannot find out how the job ended; {@linkcode Executor.adopt} is then asked later.
   */
  ended: Promise<Ending>;
}

/** What launching a job takes. */
export interface LaunchRequest {
  jobId: string;
  command: Command;
  settings: JobSettings;
  secrets: JobSecrets;
  limits: Limits;
  /** From {@linkcode Executor.place}. */
  placement: Placement;
  /** The job's own folder; it exists. */
  folder: string;
  /** The file that the job's output is appended to; it exists. */
  output: string;
  /** Between SIGTERM and SIGKILL for what the main process leaves behind. */
  graceMs: number;
}

/** A job that an earlier server left. */
export interface AdoptionRequest {
  jobId: string;
  placement: Placement;
  folder: string;
  /** Whether the earlier server had learnt that the job runs. */
  wasRunning: boolean;
}

/** What became of a job that an earlier server left. */
export type Adoption =
  | ({ kind: "running" } & Running)
  | { kind: "ended"; pid: number; ending: Ending }
  /** It never began, and never will. */
  | { kind: "never-started" };

/** Runs jobs, and knows nothing of records, clients or streams. */
export interface Executor {
  /**
   * Decides where a job will run, before anything exists.
   *
   * @throws {JobError} "precondition" when a limit cannot be held.
   */
  place(jobId: string, limits: Limits): Placement;

  /**
   * Starts a job within its limits from its first instruction on.
   *
   * @throws {JobError} When the command cannot be run or a limit not be set; then nothing is left.
   */
  launch(request: LaunchRequest): Promise<Running>;

  /** Takes over jobs that an earlier server left, or whose end it failed to tell, all at once. */
  adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>>;

  /** Asks every process of a job to end. The launcher learns that a server keeps the time. */
  terminate(
    job: { placement: Placement; folder: string },
    signal: SignalName,
  ): Promise<void>;

  /** Sends every process of a job a signal. */
  signal(job: { placement: Placement }, signal: SignalName): Promise<void>;

  /** Ends every process of a job (SIGKILL), however many there are and wherever they hide. */
  kill(job: { placement: Placement; folder: string }): Promise<void>;

  /** What running jobs use now. */
  usages(placements: readonly Placement[]): Promise<Usage[]>;
}
