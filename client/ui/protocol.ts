/** Messages between the page and the local server, besides the contract's jobs. */
import type { QueryResponse__Output } from "../../proto/contract.ts";

/** The server and the user. */
export interface About {
  readonly server: string;
  readonly clientVersion: string;
  readonly serverVersion: string;
  readonly userName: string;
  readonly roles: readonly string[];
  /** The user that jobs run as unless a start names another. */
  readonly jobUser: string;
  /** The cluster's engine; empty: jobs run on the server's host. */
  readonly engine: string;
  /** Where jobs may be put, the default one first. */
  readonly partitions: readonly string[];
  /** Whether jobs can wait for their turn, a time, or another job. */
  readonly jobsWait: boolean;
  /** The names of the queues of the server's host. */
  readonly queues: readonly string[];
}

/** When the server was asked for a job's counters: in the middle between question and answer. */
export interface ReadTime {
  /** Milliseconds since 1970-01-01 UTC, by the clock of the machine that asked. */
  readonly wallMs: number;
  /** Milliseconds of a clock that nobody sets, but that stands still while the machine sleeps. */
  readonly steadyMs: number;
}

/** A job as it was at a time. */
export interface ReadJob {
  readonly job: QueryResponse__Output;
  readonly readAt: ReadTime;
}

/** Which jobs the table shows. */
export interface JobsRequest {
  /** The contract's names; empty: all. */
  readonly states: readonly string[];
  /** Jobs of these states that have not ended by themselves with exit code 0. */
  readonly onlyFailed?: boolean;
  /** KEY=VALUE texts. */
  readonly labels: readonly string[];
  readonly text: string;
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Which part of a job's output. */
export interface OutputRequest {
  readonly jobID: string;
  /** Where to start; at most one of the two. */
  readonly offset?: number | undefined;
  readonly tailBytes?: number | undefined;
  /** Whether to continue while the job runs. */
  readonly follow: boolean;
  /** At most so many bytes. */
  readonly length?: number | undefined;
  /** Its standard error, of a job that keeps it apart. */
  readonly stderr?: boolean | undefined;
}

/** A part of the jobs that match, the newest first. */
export interface FoundJobs {
  readonly jobs: readonly ReadJob[];
  /** Empty: there are no more. */
  readonly nextPageToken: string;
  /** How many jobs were searched for these. */
  readonly scannedJobs: number;
}

/** The text fields of a start, as typed; an empty one counts as not given. */
export const TEXT_FIELDS = [
  "name",
  "labels", // One KEY=VALUE a line.
  "env", // One NAME=VALUE a line.
  "cwd",
  "user",
  "umask",
  "stdin",
  "timeout",
  "grace",
  "stopSignal",
  "cpu",
  "memory",
  "diskIo",
  "processes",
  "nice",
  "nofile",
  // What it waits for.
  "queue",
  "begin",
  "after", // Ids or names, with blanks between them.
  // Of a cluster.
  "partition",
  "account",
  "qos",
  "cpus",
  "gpus",
  "constraint",
] as const;

/** The fields that are on or off. */
export const SWITCHES = ["privateTmp", "noNetwork", "ownProcesses", "separateStderr"] as const;

/** One of {@linkcode TEXT_FIELDS}. */
export type TextField = typeof TEXT_FIELDS[number];

/** What the form that starts a job holds. */
export type StartForm =
  & {
    /** The program and its arguments. */
    readonly words: readonly string[];
    /** The same for every try of one start. */
    readonly idempotencyKey: string;
  }
  & { readonly [Name in TextField]?: string }
  & { readonly [Name in typeof SWITCHES[number]]?: boolean };
