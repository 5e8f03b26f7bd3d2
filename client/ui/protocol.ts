/** What the page and the local server say to each other, besides jobs as the contract has them. */
import type { QueryResponse__Output } from "../../proto/contract.ts";

/** What the page is told on its first look. */
export interface About {
  readonly server: string;
  readonly clientVersion: string;
  readonly serverVersion: string;
  readonly userName: string;
  readonly roles: readonly string[];
  /** Whom jobs run as where a start does not say. */
  readonly jobUser: string;
}

/** A part of the jobs that match, the newest first. */
export interface FoundJobs {
  readonly jobs: readonly QueryResponse__Output[];
  /** Empty: there are no more. */
  readonly nextPageToken: string;
  /** How many jobs were looked at for these. */
  readonly scannedJobs: number;
}

/** The fields of a start that are texts as they were typed; an empty one says nothing. */
export const TEXT_FIELDS = [
  "name",
  "labels", // One KEY=VALUE a line.
  "env", // One NAME=VALUE a line.
  "cwd",
  "user",
  "stdin",
  "timeout",
  "grace",
  "stopSignal",
  "cpu",
  "memory",
  "diskIo",
  "processes",
] as const;

/** The fields that are on or off. */
export const SWITCHES = ["privateTmp", "noNetwork", "ownProcesses"] as const;

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
