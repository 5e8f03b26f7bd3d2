/** How jobs are run: the interface. The local one is lib/executor/local.ts. */
import type { Placement, Usage } from "./cgroup/types.ts";
import type { Limits } from "./limits.ts";
import type { Command, Ending } from "./model/ending.ts";
import type { SignalName } from "../common/signals.ts";
import type { JobSecrets, JobSettings } from "./model/settings.ts";

/** A job that runs. */
export interface Running {
  pid: number;
  /**
   * Settles when no process of the job is left and its last byte of output is written. Rejects where the
   * executor cannot find out how the job ended; {@linkcode Executor.adopt} is then asked later.
   */
  ended: Promise<Ending>;
}

/** Everything needed to launch a job. */
export interface LaunchRequest {
  jobId: string;
  /** Whose job it is: many starts of one owner do not hold up those of another. */
  owner: string;
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
  /** Between SIGTERM and SIGKILL for the processes that the main process leaves behind. */
  graceMs: number;
}

/** Where the processes and files of a job are. */
export interface JobOnHost {
  placement: Placement;
  /** The job's own folder. */
  folder: string;
  /** Whose job it is. */
  owner: string;
  settings?: JobSettings | undefined;
}

/** To whom a signal goes. */
export interface SignalOptions {
  /** To the job's command alone, which may pass it on to what it has started. */
  readonly mainOnly?: boolean | undefined;
}

/** A process, and what it does. */
export interface ProcessState {
  pid: number;
  /** A letter of proc(5), such as D: in the kernel, where nothing but the end of its wait ends it. */
  state: string;
}

/** A job that had not ended when an earlier server stopped. */
export interface AdoptionRequest {
  jobId: string;
  placement: Placement;
  folder: string;
  /** Whether the job's record says that it was running. */
  wasRunning: boolean;
}

/** What became of such a job. */
export type Adoption =
  | ({ kind: "running" } & Running)
  | { kind: "ended"; pid: number; ending: Ending }
  /** It did not start, and no launcher can start it any more. */
  | { kind: "never-started" };

/** Runs jobs. Does not depend on job records, clients or streams. */
export interface Executor {
  /**
   * Decides where a job will run, before anything exists.
   *
   * @throws {JobError} "precondition" when a limit cannot be held.
   */
  place(jobId: string, limits: Limits): Placement;

  /**
   * Starts a job. Its limits hold from its first instruction on.
   *
   * @throws {JobError} When the command cannot be run or a limit cannot be set; then no process and no
   * group of the job is left.
   */
  launch(request: LaunchRequest): Promise<Running>;

  /**
   * Takes over the jobs that had not ended when an earlier server stopped, or whose end it failed to
   * tell.
   *
   * @returns What became of each, by the job's id.
   */
  adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>>;

  /** The ids of all jobs that have a process on this host, whoever has started them. */
  populated(): Promise<string[]>;

  /**
   * Sends a signal that asks every process of a job to end, and SIGCONT after it, so that stopped ones
   * hear it. The caller then times the grace period.
   */
  terminate(job: JobOnHost, signal: SignalName, options?: SignalOptions): Promise<void>;

  /**
   * Sends every process of a job a signal. Its main process is sent it, here and in the other methods,
   * also where it has left the job's groups.
   *
   * @returns Whether there was a process.
   * @throws {JobError} "exhausted" when the host has no room for the process that sends it;
   * "precondition" when it is for the main process alone, and that is not known.
   */
  signal(job: JobOnHost, signal: SignalName, options?: SignalOptions): Promise<boolean>;

  /**
   * Kills every process of a job (SIGKILL), also those in groups and sessions of their own; where the main
   * process has left the job's groups, the processes below it too.
   */
  kill(job: JobOnHost): Promise<void>;

  /**
   * Which processes of a job are left: for whoever looks why it does not end.
   *
   * @returns At most some ten of them.
   */
  remaining(job: JobOnHost): Promise<ProcessState[]>;

  /** Holds the disk limits of running jobs also on disks that have come since their start. */
  holdDiskLimits(
    jobs: readonly { readonly jobId: string; readonly limits: Limits }[],
  ): Promise<void>;

  /**
   * What running jobs use now, in the order of their placements; nothing of a job whose counters cannot
   * be read now.
   */
  usages(placements: readonly Placement[]): Promise<Usage[]>;
}
