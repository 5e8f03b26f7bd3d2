/** What went wrong, in the worker's own terms; one place (service.ts) maps it to a gRPC status. */
export type JobErrorKind =
  /** The request itself is bad; the same request will never do. */
  | "invalid"
  /** The caller's certificate is no longer believed. */
  | "unauthenticated"
  /** The rule file does not let the caller do it. */
  | "denied"
  /** There is no such job. */
  | "not-found"
  /** The job, a limit file or this host is in a state that forbids it. */
  | "precondition"
  /** A bound is reached: disk space, processes, jobs. */
  | "exhausted"
  /** The server is shutting down. */
  | "unavailable"
  /** A defect or a broken host; the cause is logged, never sent. */
  | "internal";

/** An error whose message may be shown to a client: it says what to do, and tells no host path. */
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

/** Whether something failed because the disk is full (ENOSPC, or SQLite's word for it). */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof JobError) return false;
  return /\(os error 28\)|ENOSPC|database or disk is full/.test(messageOf(error));
}
