/** What goes into the library and what comes out of it. Times are in milliseconds unless said. */
import type { Gap } from "./gap.ts";

/** How far a job is; `lost` is gone with its host, and its exit code cannot be known. */
export type JobState = "running" | "stopping" | "exited" | "lost";

/** What ends a call before its answer. */
export interface CallControl {
  /** Gives the call up; what it is aborted with is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Gives the call up after so many milliseconds, with the code `DEADLINE_EXCEEDED`. */
  readonly callTimeoutMs?: number | undefined;
}

/** Who the program is to the server. Each part is a path, or the PEM text itself. */
export interface IdentityOptions {
  /** Key, certificate and, unless `ca` is given, the CA; in the place of `cert` and `key`. */
  readonly identity?: string | undefined;
  /** The CA that signed the server's certificate and the program's. */
  readonly ca?: string | undefined;
  /** The program's certificate. */
  readonly cert?: string | undefined;
  /** Its private key, not encrypted. */
  readonly key?: string | undefined;
}

/** How a connection is held. */
export interface ConnectionOptions {
  /** `HOST:PORT`; `localhost:50051` unless given. */
  readonly server?: string | undefined;
  /**
   * Whether an address that nobody listens at is tried again for about five seconds, since the
   * server may be in the middle of a restart; true unless given.
   */
  readonly retryFirst?: boolean | undefined;
}

/** Where the server is, and who the program is to it. */
export interface OpenOptions extends ConnectionOptions, IdentityOptions {}

/** What goes before the environment, the config file and the default places. */
export interface EnvironmentOptions extends OpenOptions {
  /** One of `worker-client context list`. */
  readonly context?: string | undefined;
}

/** The limits of a job. What is not there is not limited. */
export interface JobLimits {
  /** 0.5 is half of one core. */
  readonly cpuCores?: number | undefined;
  /** Bytes of memory. */
  readonly memoryBytes?: number | undefined;
  /** On each disk. */
  readonly readBytesPerSecond?: number | undefined;
  /** On each disk. */
  readonly writeBytesPerSecond?: number | undefined;
  /** Processes and threads at once. */
  readonly processes?: number | undefined;
}

/** What a job has used so far. What is not there is not counted on that host. */
export interface JobUsage {
  /** Bytes of memory now. */
  readonly memoryBytes?: number | undefined;
  /** Bytes of memory at most. */
  readonly memoryPeakBytes?: number | undefined;
  /** Microseconds of processor time. */
  readonly cpuUsec?: number | undefined;
  /** Microseconds in which it was held back by its limit. */
  readonly cpuThrottledUsec?: number | undefined;
  /** Bytes read from disks. */
  readonly readBytes?: number | undefined;
  /** Bytes written to disks. */
  readonly writtenBytes?: number | undefined;
  /** Processes and threads now. */
  readonly processes?: number | undefined;
}

/** What a job has to itself. */
export interface Isolation {
  /** An empty /tmp and /var/tmp, in memory, gone with the job. */
  readonly privateTmp: boolean;
  /** A loopback of its own and no other network. */
  readonly noNetwork: boolean;
  /** It sees no processes but its own. */
  readonly ownProcesses: boolean;
}

/** A job, as the server knows it at one moment. */
export interface Job {
  /** The whole id. */
  readonly jobID: string;
  /** The name that stands for the id, where it was given one. */
  readonly title: string | null;
  /** The labels that it was started with. */
  readonly labels: Readonly<Record<string, string>>;
  /** The process id on the server's host. */
  readonly pid: number;
  /** How far it is. */
  readonly state: JobState;
  /** Whether it has ended; also true of one that is lost. */
  readonly exited: boolean;
  /** 128 + n when signal n ended it; null while it runs and when it is lost. */
  readonly exitCode: number | null;
  /** The signal that ended it. */
  readonly signal: number | null;
  /** Whether the kernel killed it since its memory was used up. */
  readonly oomKilled: boolean;
  /** Whether it was stopped since it had run for `timeoutMs`. */
  readonly timedOut: boolean;
  /** Why it is lost. */
  readonly reason: string | null;
  /** The program. */
  readonly name: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** The common name of the certificate that started it. */
  readonly owner: string;
  /** Whom it runs as on the server's host. */
  readonly user: string;
  /** Its working directory. */
  readonly workingDirectory: string;
  /** When it was started, by the server's clock. */
  readonly startedAt: Date;
  /** When it ended, by the server's clock; null while it runs. */
  readonly endedAt: Date | null;
  /** How long it may run; null: for ever. */
  readonly timeoutMs: number | null;
  /** What it is held to. */
  readonly limits: JobLimits;
  /** What it has used. In a list it is empty unless `withUsage` was asked for. */
  readonly usage: JobUsage;
  /** What it has to itself. */
  readonly isolation: Isolation;
  /** All that it has written so far. */
  readonly outputBytes: number;
  /** Bytes before this one were rotated away. */
  readonly outputFirstOffset: number;
}

/** How a job is started. What is not given is the server's choice. */
export interface StartOptions extends CallControl {
  /**
   * Starts with the same key are one start, however often they are repeated. Without one each call
   * makes its own, so that a lost answer starts nothing twice.
   */
  readonly idempotencyKey?: string | undefined;
  /** A name that stands for the job's id: `--name` of the command line. */
  readonly title?: string | undefined;
  /** What the job can be found by. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Environment variables of the job. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** An absolute path on the server; `/` unless given. */
  readonly workingDirectory?: string | undefined;
  /** Whom it runs as on the server's host. */
  readonly user?: string | undefined;
  /** As umask(2), for instance `0o027`; `0o022` unless given. */
  readonly umask?: number | undefined;
  /** What the job reads from its standard input, 2 MiB at most. */
  readonly stdin?: string | Uint8Array | undefined;
  /** The server stops the job when it has run for so long. */
  readonly timeoutMs?: number | undefined;
  /** What a stop sends first, such as `SIGINT`; `SIGTERM` unless given. */
  readonly stopSignal?: string | undefined;
  /** Milliseconds between that signal and SIGKILL. */
  readonly graceMs?: number | undefined;
  /** Within the server's own. */
  readonly limits?: JobLimits | undefined;
  /** What it shall have to itself. */
  readonly isolation?: Partial<Isolation> | undefined;
}

/** How a job is stopped. */
export interface StopOptions extends CallControl {
  /** Milliseconds between the stop signal and SIGKILL; 0: SIGKILL at once. */
  readonly graceMs?: number | undefined;
}

/** Which jobs are listed; what is not given does not narrow. */
export interface ListOptions extends CallControl {
  /** In one of these states. */
  readonly states?: readonly JobState[] | undefined;
  /** With all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Started by this certificate's common name. */
  readonly owner?: string | undefined;
  /** Started after this moment. */
  readonly startedAfter?: Date | undefined;
  /** Started before this moment. */
  readonly startedBefore?: Date | undefined;
  /** The newest so many only. */
  readonly limit?: number | undefined;
  /** Whether running jobs come with their use of resources, which costs the server more. */
  readonly withUsage?: boolean | undefined;
}

/** How a broken connection is tried again. */
export interface RetryOptions {
  /** Milliseconds, 10 minutes unless given; 0: not at all. */
  readonly retryForMs?: number | undefined;
  /** Called when the connection broke, with the offset of the next byte where it is known. */
  readonly onLost?: ((offset: number | undefined) => void) | undefined;
}

/** Which output of a job, and how stubbornly. At most one of the first three may be given. */
export interface StreamOptions extends CallControl, RetryOptions {
  /** Start at this byte, counted from 0. */
  readonly offset?: number | undefined;
  /** Start with the last so many lines. */
  readonly tailLines?: number | undefined;
  /** Start with the last so many bytes. */
  readonly tailBytes?: number | undefined;
  /** Whether to go on while the job runs; true unless given. */
  readonly follow?: boolean | undefined;
  /** Called when a broken connection was made anew, with the offset of the next byte. */
  readonly onResumed?: ((offset: number) => void) | undefined;
}

/** How a job is waited for. */
export interface WaitOptions extends CallControl, RetryOptions {}

/** How a job is run in the foreground. */
export interface RunOptions extends StartOptions, RetryOptions {
  /** Called with the job's id as soon as it is started. */
  readonly onStart?: ((jobID: string) => void) | undefined;
  /**
   * Takes the output as it comes, and is waited for; then nothing is kept for the result. What it
   * throws ends the run, and the job is stopped.
   */
  readonly onOutput?: ((chunk: Uint8Array | Gap) => void | Promise<void>) | undefined;
  /** How much of the output is kept, the newest; 16 MiB unless given. */
  readonly maxOutputBytes?: number | undefined;
  /** Whether the job is stopped when the run is given up; true unless given. */
  readonly stopOnAbort?: boolean | undefined;
}

/** How a run ended. */
export interface RunResult {
  /** The job at its end. A job that failed is no error: look at `exitCode`. */
  readonly job: Job;
  /** Its exit code; null where it was lost. */
  readonly exitCode: number | null;
  /** The newest `maxOutputBytes` of what it has written; nothing where `onOutput` took it. */
  readonly output: Uint8Array;
  /** How many bytes before that are not in it. */
  readonly droppedBytes: number;
}

/** Whose use is measured, and for how long. */
export interface StatsOptions extends CallControl {
  /** Jobs with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds between the two looks that the rates come from; 1000 unless given. */
  readonly intervalMs?: number | undefined;
}

/** A running job, and what it uses. What is null is not counted on that host. */
export interface JobStats {
  /** The job, with `usage`. */
  readonly job: Job;
  /** 100 is one core. */
  readonly cpuPercent: number | null;
  /** From disks. */
  readonly readBytesPerSecond: number | null;
  /** To disks. */
  readonly writtenBytesPerSecond: number | null;
}

/** What the server is, and who the program is to it. */
export interface ServerInfo {
  /** The server's version. */
  readonly version: string;
  /** The common name of the program's certificate. */
  readonly yourName: string;
  /** The roles that it gives. */
  readonly yourRoles: readonly string[];
  /** `v1`, `hybrid` or `v2`. */
  readonly cgroup: string;
  /** What can be limited and counted there. */
  readonly controllers: readonly string[];
  /** Whom jobs run as where a start does not say. */
  readonly jobUser: string;
  /** How many jobs run. */
  readonly runningJobs: number;
  /** The server's clock. */
  readonly time: Date;
}
