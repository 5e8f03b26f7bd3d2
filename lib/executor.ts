/**
 * How jobs are run: the interface. On this host: lib/executor/local.ts. Both this and a cluster's hold
 * what tests/conformance/ asks of them.
 */
import type { Usage } from "./cgroup/types.ts";
import type { LimitPurpose, Limits } from "./limits.ts";
import type { Command, Ending } from "./model/ending.ts";
import type { EngineStatus } from "./model/engine.ts";
import type { Handle } from "./model/record.ts";
import type { SignalName } from "../common/signals.ts";
import type { JobSecrets, JobSettings } from "./model/settings.ts";

export type { EngineStatus, Handle };

/** A limit that a start may ask for. */
export type LimitName = keyof Limits;

/** What becomes of a limit: the kernel holds it, an engine's own limit stands for it, or it is refused. */
export type LimitSupport = "held" | "mapped" | { readonly refused: string };

/** What an executor can do, for callers that behave differently by it, and for those who are told. */
export interface Capabilities {
  /** What runs the jobs, such as "Slurm 22.05.8"; empty: this host. */
  readonly engine: string;
  /** Whether a job may wait for its turn. If not, a job that was submitted runs. */
  readonly queues: boolean;
  /** Whether the timeouts of jobs are kept by the executor, also while no server runs. */
  readonly keepsTime: boolean;
  readonly output: {
    /** How readers learn that an output has grown. */
    readonly news: "events" | "polling";
    /** How the beginning of an output that is too long is freed: in its file, or by files that are removed. */
    readonly bound: "holes" | "segments";
  };
  readonly limits: Readonly<Record<LimitName, LimitSupport>>;
  /** Whether the limits of a job can be changed while it runs. */
  readonly updates: "possible" | { readonly refused: string };
  /** Whether a job may have a /tmp, a network or processes of its own. */
  readonly isolation: boolean;
  /** Whether a job may be sent its input while it runs. */
  readonly openStdin: boolean;
  /** Whether a job's standard error may be kept apart from its output. */
  readonly separateStderr: boolean;
  /** Whether a start may name the user that its job runs as. */
  readonly users: boolean;
  /** Whether a job may have a limit of open files of its own. */
  readonly openFiles: "possible" | { readonly refused: string };
  /** Where jobs may be put, the default one first; empty: there is no choice. */
  readonly partitions: readonly string[];
}

/** A job, for its executor. */
export interface JobRef {
  readonly jobId: string;
  /** From {@linkcode Executor.plan}. */
  readonly handle: Handle;
  /** The job's own folder. */
  readonly folder: string;
  /** Whose job it is: much work for one owner does not hold up that of another. */
  readonly owner: string;
  readonly settings: JobSettings;
}

/** Everything needed to run a job. */
export interface SubmitRequest extends JobRef {
  readonly command: Command;
  readonly secrets: JobSecrets;
  readonly limits: Limits;
  /** The file that the job's output is appended to; it exists. */
  readonly output: string;
  /** The same for its standard error, where that is kept apart. */
  readonly errors?: string;
  /**
   * Between SIGTERM and SIGKILL for the processes that the main process leaves behind; and between the
   * stop signal and SIGKILL of a timeout that the executor keeps.
   */
  readonly graceMs: number;
  /** Jobs that must have exited with 0 before this one begins: those of `settings.queue` that are active. */
  readonly after: readonly string[];
}

/** What is known of a job once its command runs. */
export interface Begun {
  /** The process id of its main process. */
  readonly pid: number;
  /** Absent: it has begun just now, as far as the executor knows. */
  readonly startedAtMs?: number;
  /** The cluster's node that it runs on. */
  readonly node?: string;
}

/** A job that its executor has taken. */
export interface Tracked {
  /**
   * Settles when its command runs, and never later than `ended`. Where the job ends without having run it
   * never settles. Never rejects.
   */
  readonly whenBegun: Promise<Begun>;
  /**
   * Settles when no process of the job is left and its last byte of output is written. Rejects where the
   * executor cannot find out how the job ended; {@linkcode Executor.adopt} is then asked later.
   */
  readonly ended: Promise<Ending>;
  /** The engine's number of the job, where it is known. */
  readonly engineJob?: string;
}

/** How far a job is, as its record has it. */
export type Phase =
  /** It is being submitted: nobody was told of it. */
  | "starting"
  /** It was submitted, and has not begun as far as the record knows. */
  | "pending"
  /** It has run. */
  | "begun";

/** A job that had not ended when an earlier server stopped, or whose end could not be told. */
export interface AdoptionRequest extends JobRef {
  readonly command: Command;
  readonly phase: Phase;
  readonly submittedAtMs: number;
}

/** What became of such a job. */
export type Adoption =
  | ({ readonly kind: "tracked" } & Tracked)
  /** `begun`: absent where it is not known, or the job never ran. */
  | { readonly kind: "ended"; readonly begun?: Begun; readonly ending: Ending }
  /** It did not start, and nothing can start it any more. */
  | { readonly kind: "never-started" };

/** To whom a signal goes. */
export interface SignalOptions {
  /** To the job's command alone, which may pass it on to what it has started. */
  readonly mainOnly?: boolean | undefined;
}

/** Limits that are to hold from now on. */
export interface LimitUpdate {
  /** All limits of the job. */
  readonly limits: Limits;
  /** Which of them are set; one that is absent in `limits` is taken away. */
  readonly names: ReadonlySet<LimitName>;
}

/** How a job is stopped. */
export interface StopOrder extends SignalOptions {
  /** What asks the job to end; SIGCONT follows it, so that stopped processes hear it. */
  readonly signal: SignalName;
  /** When SIGKILL follows; a time that is over: at once, and without the signal. */
  readonly killAtMs: number;
}

/** A process, and what it does. */
export interface ProcessState {
  readonly pid: number;
  /** A letter of proc(5), such as D: in the kernel, where nothing but the end of its wait ends it. */
  readonly state: string;
}

/** A group of the host that jobs run on. */
export interface FoundGroup {
  readonly name: string;
  /** Whether the user who was named is in it. */
  readonly hasUser: boolean;
}

/** Runs jobs. Does not depend on clients or streams. */
export interface Executor {
  readonly capabilities: Capabilities;

  /**
   * Decides where a job will run, before anything exists.
   *
   * @throws {JobError} "precondition" when a limit cannot be held; "invalid" for settings that only
   * another executor has.
   */
  plan(jobId: string, limits: Limits, settings: JobSettings): Handle;

  /**
   * Starts a job, or hands it to the engine. Its limits hold from its first instruction on.
   *
   * @returns Settles when the job runs; where jobs queue, when the engine has taken it.
   * @throws {JobError} When the command cannot be run or a limit cannot be set. Then nothing of the job
   * runs, nothing will, and no process and no group of it is left.
   */
  submit(request: SubmitRequest): Promise<Tracked>;

  /**
   * Takes over the jobs that had not ended when an earlier server stopped, or whose end it failed to
   * tell. A "starting" one that nothing has taken can be started by nothing afterwards.
   *
   * @returns What became of each, by the job's id.
   */
  adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>>;

  /** The ids of jobs that have a process, whoever has started them. */
  populated(): Promise<string[]>;

  /**
   * Stops a job: the signal, SIGKILL at its time, and again until the job has ended. A job that waits is
   * taken back, and ends as one that never ran. A second call may make SIGKILL come earlier, never later,
   * and does not repeat the signal; one after the job's end does nothing.
   *
   * @returns Settles when what was due at once is done. Never rejects: what fails is logged, and tried
   * again.
   */
  stop(job: JobRef, order: StopOrder): Promise<void>;

  /**
   * Sends every process of a job that has begun a signal.
   *
   * @returns Whether there was a process.
   * @throws {JobError} "exhausted" when the host has no room for the process that sends it;
   * "precondition" when it is for the main process alone, and that is not known, or cannot be told now.
   */
  signal(job: JobRef, signal: SignalName, options?: SignalOptions): Promise<boolean>;

  /**
   * Which processes of a job are left: for whoever looks why it does not end.
   *
   * @returns At most some ten of them.
   */
  remaining(job: JobRef): Promise<ProcessState[]>;

  /**
   * Sets limits of a job that runs: all, or none.
   *
   * @returns The limits as they hold now, read from the kernel where that tells.
   * @throws {JobError} "precondition" where the kernel refuses one (the job uses more memory, say), or the
   * job is ending: nothing has changed then. "internal" where it is not known what holds now.
   */
  update(job: JobRef, change: LimitUpdate): Promise<Limits>;

  /**
   * The name of the account that has a uid on the host that jobs run on; undefined: there is none.
   *
   * @throws {JobError} "precondition" where the host cannot be asked.
   */
  accountOf(uid: number): Promise<string | undefined>;

  /**
   * The group that a name or a gid stands for on the host that jobs run on; undefined: there is none.
   *
   * @throws {JobError} "invalid" where there is no such user, "precondition" where the host cannot be asked.
   */
  groupOf(user: string, group: string): Promise<FoundGroup | undefined>;

  /**
   * The numbers of disks, MAJOR:MINOR, on the host that jobs run on, by their names.
   *
   * @throws {JobError} "invalid" for one that is no whole disk there, with what is wrong with it.
   */
  numbersOf(disks: readonly string[], purpose: LimitPurpose): Promise<string[]>;

  /** Holds the disk limits of running jobs also on disks that have come since their start. */
  holdDiskLimits(
    jobs: readonly { readonly jobId: string; readonly limits: Limits }[],
  ): Promise<void>;

  /**
   * What running jobs use now, or used at the time that is told, in the order of the jobs; nothing of a job whose
   * counters cannot be read now. Where jobs run elsewhere, from memory, at once.
   */
  usages(jobs: readonly JobRef[]): Promise<Usage[]>;

  /** What the engine said last of each job, in their order; from memory, at once. */
  statuses(jobIds: readonly string[]): (EngineStatus | undefined)[];

  /** Stops watching jobs. They go on. */
  close(): Promise<void>;
}
