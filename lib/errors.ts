import { printableJson } from "../common/printable.ts";

/** The kind of an error; one place (service.ts) maps it to a gRPC status. */
export type JobErrorKind =
  /** The request itself is wrong; repeating it will not help. */
  | "invalid"
  /** The caller's certificate is no longer accepted. */
  | "unauthenticated"
  /** The rule file does not allow it to the caller. */
  | "denied"
  /** There is no such job. */
  | "not-found"
  /** The job, a limit file or this host is in a state that forbids it. */
  | "precondition"
  /** A bound is reached: disk space, processes, jobs. */
  | "exhausted"
  /** The server is shutting down. */
  | "unavailable"
  /** A defect or a fault of the host; the cause is logged, never sent. */
  | "internal";

/** An error whose message may be sent to a client: it says what to do, and contains no host path. */
export class JobError extends Error {
  override readonly name = "JobError";

  /**
   * @param kind What went wrong.
   * @param message One line for the client.
   * @param options `cause` is logged and never sent.
   */
  constructor(readonly kind: JobErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether something failed because the disk, or its owner's quota, is full (or SQLite's message for it). */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof JobError) return false;
  return /\(os error (?:28|122)\)|ENOSPC|EDQUOT|No space left|quota exceeded|database or disk is full/i
    .test(messageOf(error));
}

/** Whether something failed because the disk is read-only or broken, or SQLite's message for it. */
export function isDiskRefusing(error: unknown): boolean {
  if (error instanceof JobError) return false;
  return /\(os error (?:5|30)\)|EROFS|EIO\b|Read-only file system|Input\/output error|disk I\/O error|readonly database/
    .test(
      messageOf(error),
    );
}

/**
 * Text from outside, for use in a message: quoted, cut, and printable.
 *
 * @param maxCharacters Longer text is cut.
 */
export function quoted(text: string, maxCharacters = 60): string {
  const shown = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text;
  return printableJson(shown);
}

/** The message where the log directory's disk is full. */
export const NO_SPACE = "Cannot start the job: the disk of the server's log directory is full; " +
  "remove finished jobs (worker-client remove ID) or make room";

/** The message of other calls then. */
export const DISK_FULL = "The disk of the server's log directory is full: make room there " +
  "(worker-client remove ID removes a job's output), and try again";

/** The message where that disk is read-only or broken. */
export const DISK_REFUSES =
  "The disk of the server's log directory refuses to be written: it is read-only, or fails; the server's " +
  "log says more, and the kernel's (dmesg) on its host";

/** The message where that disk does not answer. */
export const DISK_STUCK =
  "The disk of the server's log directory does not answer: it is frozen or stuck, or its file server is " +
  "away; try again when the server's operator has seen to it";

/** The message where it turned so while the job was started. */
export const KILLED_DISK_REFUSES = `The job was started and killed again. ${DISK_REFUSES}`;

/** The message where that disk became full while the job was started. */
export const KILLED_NO_SPACE =
  "The job was started and killed again: the disk of the server's log " +
  "directory is full; remove finished jobs (worker-client remove ID) or make room";
