/** The library's arguments and results. */
import type { Gap } from "./gap.ts";

/**
 * The state of a job. `pending`: it waits in the queue of a cluster. After `lost`, for instance by a
 * crash of the host, its exit code is unknown. `never-ran`: it ended before its command began.
 */
export type JobState = "pending" | "running" | "stopping" | "exited" | "lost" | "never-ran";

/**
 * Why a job has ended: `exit`, by itself; `signal`, by one that nobody's stop sent; `stopped`, by a
 * user; `timeout`; `oom`, out of memory; `lost`, nobody knows how; `never-ran`, before its command began.
 */
export type JobEnding = "exit" | "signal" | "stopped" | "timeout" | "oom" | "lost" | "never-ran";

/** What jobs are listed by: states, and how jobs that are `exited` have ended. */
export type StateWord = JobState | "oom" | "timeout" | "stopped" | "signal";

/** Ends a call before its answer. */
export interface CallControl {
  /** Cancels the call; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Cancels the call after so many milliseconds, with the code `DEADLINE_EXCEEDED`. */
  readonly callTimeoutMs?: number | undefined;
}

/** The identity of the program. Each part is a path, or the PEM text itself. */
export interface IdentityOptions {
  /** Key, certificate and, unless `ca` is given, the CA; in place of `cert` and `key`. */
  readonly identity?: string | undefined;
  /** The CA that signed the server's certificate and the program's. */
  readonly ca?: string | undefined;
  /** The program's certificate. */
  readonly cert?: string | undefined;
  /** Its private key, not encrypted. */
  readonly key?: string | undefined;
}

/** How a connection is made. */
export interface ConnectionOptions {
  /** `HOST:PORT`; `localhost:50051` unless given. */
  readonly server?: string | undefined;
  /**
   * Whether a refused first connection is tried again for about five seconds, since the server may be
   * restarting; true unless given.
   */
  readonly retryFirst?: boolean | undefined;
}

/** The server and the identity. */
export interface OpenOptions extends ConnectionOptions, IdentityOptions {}

/** Options that take precedence over the environment, the config file and the default places. */
export interface EnvironmentOptions extends OpenOptions {
  /** One of `worker-client context list`. */
  readonly context?: string | undefined;
}

/** Limits of one disk, in place of those for each disk. */
export interface DiskLimit {
  /** Of the server's host: a path below /dev, or MAJOR:MINOR. A whole disk, no partition. */
  readonly disk: string;
  /** Bytes read. */
  readonly readBytesPerSecond?: number | undefined;
  /** Bytes written. */
  readonly writeBytesPerSecond?: number | undefined;
  /** Reads. */
  readonly readOperationsPerSecond?: number | undefined;
  /** Writes. */
  readonly writeOperationsPerSecond?: number | undefined;
}

/** The limits of a job. An absent field means unlimited. */
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
  /** Above so much memory the kernel slows the job down and reclaims memory; needs cgroup v2. */
  readonly memoryHighBytes?: number | undefined;
  /** Reads, on each disk. */
  readonly readOperationsPerSecond?: number | undefined;
  /** Writes, on each disk. */
  readonly writeOperationsPerSecond?: number | undefined;
  /** The only CPUs that it may use, by number, such as `0-3,5`. */
  readonly allowedCpus?: string | undefined;
  /** Of single disks, at most 16. An update with some sets all of them. */
  readonly disks?: readonly DiskLimit[] | undefined;
}

/** What a job has used so far. A field is absent where the host does not count it. */
export interface JobUsage {
  /** Bytes of memory now. */
  readonly memoryBytes?: number | undefined;
  /** Bytes of memory at most. */
  readonly memoryPeakBytes?: number | undefined;
  /** Microseconds of processor time. */
  readonly cpuUsec?: number | undefined;
  /** Microseconds in which it was throttled by its limit. */
  readonly cpuThrottledUsec?: number | undefined;
  /** Bytes read from disks. */
  readonly readBytes?: number | undefined;
  /** Bytes written to disks. */
  readonly writtenBytes?: number | undefined;
  /** Processes and threads now. */
  readonly processes?: number | undefined;
  /** When a cluster's node has counted that, in milliseconds since 1970-01-01 UTC; absent: just now. */
  readonly asOfMs?: number | undefined;
}

/** How a job is isolated. */
export interface Isolation {
  /** Its own empty /tmp and /var/tmp, in memory, deleted with the job. */
  readonly privateTmp: boolean;
  /** No network except its own loopback interface. */
  readonly noNetwork: boolean;
  /** It sees only its own processes. */
  readonly ownProcesses: boolean;
}

/** What a start has asked a cluster for; empty and 0: the cluster's choice. */
export interface ClusterRequest {
  /** Whom the job is charged to. */
  readonly account: string;
  /** Its quality of service. */
  readonly qos: string;
  /** Whole cores. */
  readonly cpus: number;
  /** A number, or `TYPE:NUMBER`. */
  readonly gpus: string;
  /** What the node must have, in the engine's notation. */
  readonly constraint: string;
}

/** A job at one moment. */
export interface Job {
  /** The whole id. */
  readonly jobID: string;
  /** The name that can be used in place of the id, where it has one. */
  readonly name: string | null;
  /**
   * The same.
   *
   * @deprecated The earlier word for `name`.
   */
  readonly title: string | null;
  /** The labels that it was started with. */
  readonly labels: Readonly<Record<string, string>>;
  /** The process id on the host where it runs; 0 while it is pending. */
  readonly pid: number;
  /** Its state. */
  readonly state: JobState;
  /** Whether it has ended; also true of one that is lost or never ran. */
  readonly exited: boolean;
  /** 128 + n when signal n ended it; null before its end, and when it is lost or never ran. */
  readonly exitCode: number | null;
  /** The signal that ended it. */
  readonly signal: number | null;
  /** Whether the kernel killed it because it exceeded its memory limit. */
  readonly oomKilled: boolean;
  /** Whether it was stopped by its timeout. */
  readonly timedOut: boolean;
  /** The common name of the certificate that stopped it; null: none has. */
  readonly stoppedBy: string | null;
  /** Why it has ended; null while it has not. */
  readonly ending: JobEnding | null;
  /** The same in words, such as `stopped by alice`; null where it has ended by itself, or not. */
  readonly endingText: string | null;
  /** Why it is lost, or never ran. */
  readonly reason: string | null;
  /** The program. */
  readonly program: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** The common name of the certificate that started it. */
  readonly owner: string;
  /** The user that it runs as on the server's host. */
  readonly user: string;
  /** Its working directory. */
  readonly workingDirectory: string;
  /** When it was started, by the server's clock; while it is pending, when it was submitted. */
  readonly startedAt: Date;
  /** When it ended, by the server's clock; null before. */
  readonly endedAt: Date | null;
  /** How long it may run; null: without limit. */
  readonly timeoutMs: number | null;
  /** The limits that hold: its own within the server's. */
  readonly limits: JobLimits;
  /** Its own: those that its start, and updates since, asked for. */
  readonly askedLimits: JobLimits;
  /** Permissions that its new files do not get. */
  readonly umask: number;
  /** How many files each of its processes may have open; null: the server's choice. */
  readonly openFiles: number | null;
  /** Its nice value, where its start gave one. */
  readonly nice: number | null;
  /** The signal that a stop sends first, such as `TERM`. */
  readonly stopSignal: string;
  /** Milliseconds between that signal and SIGKILL; null: the server's default. */
  readonly graceMs: number | null;
  /** Whether it was given variables or an input; these are kept nowhere. */
  readonly hasSecrets: boolean;
  /** Whether it is sent its input while it runs. */
  readonly openStdin: boolean;
  /** How many bytes of input it was sent so. */
  readonly inputBytes: number;
  /** What it has used. Empty in a list without `withUsage`. */
  readonly usage: JobUsage;
  /** How it is isolated. */
  readonly isolation: Isolation;
  /** How many bytes it has written so far. */
  readonly outputBytes: number;
  /** Output before this offset was rotated away. */
  readonly outputFirstOffset: number;
  /** Whether its standard error is kept apart from its output. */
  readonly separateStderr: boolean;
  /** How many bytes it has written to that; null: it is in the output. */
  readonly stderrBytes: number | null;
  /** Standard error before this offset was rotated away; null: it is in the output. */
  readonly stderrFirstOffset: number | null;
  /** The queue of the host in which it waits, or has waited. */
  readonly queue: string | null;
  /** The how manieth its turn in the queue is, from 1 on; null: it is not in line. */
  readonly queuePosition: number | null;
  /** What it waits for while it is pending, in the server's or the engine's words. */
  readonly pendingReason: string | null;
  /** When it was submitted, where jobs wait. */
  readonly submittedAt: Date | null;
  /** The node of the cluster where it runs or ran. This field and those below are null elsewhere. */
  readonly node: string | null;
  /** When it will start, as the engine estimates. */
  readonly estimatedStart: Date | null;
  /** Its number in the engine. */
  readonly engineJob: string | null;
  /** Its state in the engine, as it was at `asOf`. */
  readonly engineState: string | null;
  /** When the engine was last heard of the job. */
  readonly asOf: Date | null;
  /** The part of the cluster that it was submitted to. */
  readonly partition: string | null;
  /** What its start asked the cluster for. */
  readonly clusterRequest: ClusterRequest | null;
}

/** The settings of a job. What is not given is the server's choice. */
export interface StartOptions extends CallControl {
  /**
   * Starts with the same key start one job. Without a key each call makes its own, so that a lost
   * answer does not start a job twice.
   */
  readonly idempotencyKey?: string | undefined;
  /** A name that can be used in place of the job's id. */
  readonly name?: string | undefined;
  /**
   * The same.
   *
   * @deprecated The earlier word for `name`.
   */
  readonly title?: string | undefined;
  /** Labels to find the job by. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Environment variables of the job. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** An absolute path on the server; `/` unless given. */
  readonly workingDirectory?: string | undefined;
  /** The user that it runs as on the server's host: a name, or a uid as a string. */
  readonly user?: string | undefined;
  /** As umask(2), for instance `0o027`; `0o022` unless given. */
  readonly umask?: number | undefined;
  /** As nice(1), 0 to 19; over a cluster its priority in the queue: a higher number waits longer. */
  readonly nice?: number | undefined;
  /** How many files each of its processes may have open, as `ulimit -n`; 64 or more. */
  readonly openFiles?: number | undefined;
  /** The job's standard input, at most 2 MiB. */
  readonly stdin?: string | Uint8Array | undefined;
  /** Its standard input is sent while it runs, by `input`; not over a cluster, nor for a job that waits. */
  readonly openStdin?: boolean | undefined;
  /** The server stops the job after so many milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The signal that a stop sends first, such as `SIGINT`; `SIGTERM` unless given. */
  readonly stopSignal?: string | undefined;
  /** Milliseconds between that signal and SIGKILL. */
  readonly graceMs?: number | undefined;
  /** At most the server's own limits. */
  readonly limits?: JobLimits | undefined;
  /** How it is isolated. */
  readonly isolation?: Partial<Isolation> | undefined;
  /** Keep its standard error apart from its output: `stream` reads it with `stderr: true`. */
  readonly separateStderr?: boolean | undefined;
  /** The queue of the server's host in which it waits for its turn. */
  readonly queue?: string | undefined;
  /** Not before this time. */
  readonly begin?: Date | undefined;
  /** Not before these jobs have ended with exit code 0. */
  readonly after?: readonly string[] | undefined;
  /** The part of the cluster. This option and those below are for a server over a cluster. */
  readonly partition?: string | undefined;
  /** Whom the job is charged to. */
  readonly account?: string | undefined;
  /** Its quality of service. */
  readonly qos?: string | undefined;
  /** Whole cores; as many as `limits.cpuCores` needs unless given. */
  readonly cpus?: number | undefined;
  /** GPUs: a number, or `TYPE:NUMBER`. */
  readonly gpus?: number | string | undefined;
  /** What the node must have, in the cluster's notation. */
  readonly constraint?: string | undefined;
}

/** What a job is sent to read while it runs: all of it, or piece by piece; a `ReadableStream` is one, too. */
export type JobInput = Uint8Array | AsyncIterable<Uint8Array>;

/** How a job's input is sent. */
export interface InputOptions extends CallControl, RetryOptions {
  /** Whether the job's input does not end with this, so that somebody may go on. Default: false. */
  readonly keepOpen?: boolean | undefined;
}

/** How a job is stopped. */
export interface StopOptions extends SignalOptions {
  /** Milliseconds between the stop signal and SIGKILL; 0: SIGKILL at once. */
  readonly graceMs?: number | undefined;
}

/** To whom a signal goes. */
export interface SignalOptions extends CallControl {
  /** To the job's main process alone, which may pass it on; SIGKILL of a stop goes to all. */
  readonly mainOnly?: boolean | undefined;
}

/** How the limits of a running job change. */
export interface UpdateOptions extends CallControl {
  /** Those that change; at most the server's. */
  readonly limits?: JobLimits | undefined;
  /** Names of limits, such as `memoryBytes`, that become the server's again. */
  readonly reset?: readonly (keyof JobLimits)[] | undefined;
  /** Whether the server's limit files, as they are now, are applied to all of the job's limits. */
  readonly fromFiles?: boolean | undefined;
}

/** Which jobs are listed; an option that is not given matches all. */
export interface ListOptions extends CallControl {
  /** In one of these states, or ended so. */
  readonly states?: readonly StateWord[] | undefined;
  /** With all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Started by this certificate's common name. */
  readonly owner?: string | undefined;
  /** Of this queue of the server's host: they wait in it, or have waited. */
  readonly queue?: string | undefined;
  /** Started after this moment. */
  readonly startedAfter?: Date | undefined;
  /** Started before this moment. */
  readonly startedBefore?: Date | undefined;
  /** At most so many, the newest. */
  readonly limit?: number | undefined;
  /** Whether running jobs come with their resource usage, which costs the server more. */
  readonly withUsage?: boolean | undefined;
}

/** How a broken connection is tried again. */
export interface RetryOptions {
  /** Milliseconds, 10 minutes unless given; 0: not at all. */
  readonly retryForMs?: number | undefined;
  /** Called when the connection broke, with the offset of the next byte where it is known. */
  readonly onLost?: ((offset: number | undefined) => void) | undefined;
}

/** Which output of a job. At most one of the first three may be given. */
export interface StreamOptions extends CallControl, RetryOptions {
  /** Start at this byte, counted from 0. */
  readonly offset?: number | undefined;
  /** Start with the last so many lines. */
  readonly tailLines?: number | undefined;
  /** Start with the last so many bytes. */
  readonly tailBytes?: number | undefined;
  /** Not what was written before, by the server's clock; not with `offset`. */
  readonly since?: Date | undefined;
  /** Not what was written later; the stream ends there. */
  readonly until?: Date | undefined;
  /** Whether to tell when each chunk was written: see `OutputStream.timeMs`. */
  readonly timestamps?: boolean | undefined;
  /** The standard error of a job that keeps it apart, in the place of its output. */
  readonly stderr?: boolean | undefined;
  /** Whether to continue while the job runs; true unless given. */
  readonly follow?: boolean | undefined;
  /** Called when a broken connection was made again, with the offset of the next byte. */
  readonly onResumed?: ((offset: number) => void) | undefined;
}

/** Which events; an option that is not given matches all. */
export interface EventsOptions extends CallControl {
  /** Also what has happened since; only what happens from now on unless given. */
  readonly since?: Date | undefined;
  /** What happens before this moment; the iteration ends then. */
  readonly until?: Date | undefined;
  /** Go on after the event with this `cursor`, also of an earlier program. */
  readonly after?: string | undefined;
  /** Of this job: its id, the beginning of it, or its name. */
  readonly jobID?: string | undefined;
  /** Of jobs with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Of jobs started by this certificate's common name. */
  readonly owner?: string | undefined;
  /** Whether to wait for what happens next; true unless given. */
  readonly follow?: boolean | undefined;
  /** How long a broken connection is tried again, in milliseconds, 10 minutes unless given; 0: not at all. */
  readonly retryForMs?: number | undefined;
  /** Called when the connection broke. */
  readonly onLost?: (() => void) | undefined;
  /** Called when a broken connection was made again; no event was lost or comes twice. */
  readonly onResumed?: (() => void) | undefined;
}

/**
 * What has happened to a job. `submitted`: to a queue; `updated`: its limits were changed; `missed`:
 * events before the next one are not known any more; `unknown`: a newer server tells of something else.
 */
export type JobEventKind =
  | "submitted"
  | "started"
  | "updated"
  | "stopping"
  | "ended"
  | "removed"
  | "missed"
  | "unknown";

/** Something that has happened to a job. */
export interface JobEvent {
  /** What. */
  readonly kind: JobEventKind;
  /** When, by the server's clock. */
  readonly time: Date;
  /** The common name of who did it; null: nobody did. */
  readonly by: string | null;
  /** For `after`; null for `missed`. */
  readonly cursor: string | null;
  /** As it is when the event is told; of a removed one its id, owner, name and labels. Null for `missed`. */
  readonly job: Job | null;
}

/** How a job is waited for. */
export interface WaitOptions extends CallControl, RetryOptions {}

/** How a job is run in the foreground. */
export interface RunOptions extends StartOptions, RetryOptions {
  /** What the job reads, sent while it runs. What it throws ends the run, and the job is stopped. */
  readonly input?: JobInput | undefined;
  /** Called with the job's id as soon as it is started. */
  readonly onStart?: ((jobID: string) => void) | undefined;
  /**
   * Takes the output, and is awaited; then no output is kept for the result. What it throws ends the
   * run, and the job is stopped.
   */
  readonly onOutput?: ((chunk: Uint8Array | Gap) => void | Promise<void>) | undefined;
  /** The same for its standard error, with `separateStderr`. */
  readonly onStderr?: ((chunk: Uint8Array | Gap) => void | Promise<void>) | undefined;
  /** How many bytes of each output are kept, the newest; 16 MiB unless given. */
  readonly maxOutputBytes?: number | undefined;
  /** Whether the job is stopped when the run ends early; true unless given. */
  readonly stopOnAbort?: boolean | undefined;
}

/** How a run ended. */
export interface RunResult {
  /** The job at its end. A job that failed is not an error: see `exitCode`. */
  readonly job: Job;
  /** Its exit code; null where it was lost or never ran. */
  readonly exitCode: number | null;
  /** The newest `maxOutputBytes` of what it has written; nothing where `onOutput` took it. */
  readonly output: Uint8Array;
  /** How many bytes before that were dropped. */
  readonly droppedBytes: number;
  /** The same of its standard error, with `separateStderr`; else that is in the output. */
  readonly stderr: Uint8Array;
  /** How many bytes of that were dropped. */
  readonly droppedStderrBytes: number;
}

/** Which jobs are measured, and for how long. */
export interface StatsOptions extends CallControl {
  /** Jobs with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds between the two samples; 1000 unless given. */
  readonly intervalMs?: number | undefined;
}

/** A running or pending job, and its resource usage. Null where the host does not count it. */
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

/** The server, and the caller's name and roles. */
export interface ServerInfo {
  /** The server's version. */
  readonly version: string;
  /** The common name of the program's certificate. */
  readonly yourName: string;
  /** The roles that the certificate gives. */
  readonly yourRoles: readonly string[];
  /** `v1`, `hybrid` or `v2`. */
  readonly cgroup: string;
  /** The cgroup controllers that are available. */
  readonly controllers: readonly string[];
  /** The user that jobs run as unless a start names another. */
  readonly jobUser: string;
  /** How many jobs run. */
  readonly runningJobs: number;
  /** What runs the jobs, such as `Slurm 22.05.8`; null: the server's own host. */
  readonly engine: string | null;
  /** The parts of the cluster that a start can choose, the default one first. */
  readonly partitions: readonly string[];
  /** Limits that a start may not ask for, each with the reason. */
  readonly limitsNotHeld: readonly string[];
  /** The queues of the server's host, each as `NAME: what runs and waits in it`. */
  readonly queues: readonly string[];
  /** Whether a start may have `after` and `begin`, and on a host `queue`. */
  readonly jobsWait: boolean;
  /** Whether a job can be sent its input while it runs. */
  readonly openStdin: boolean;
  /** Fields of a start, by the contract's names, that servers of earlier versions would ignore. */
  readonly startFields: readonly string[];
  /** The server's clock. */
  readonly time: Date;
}
