/**
 * What went wrong:
 *
 * - `INVALID_ARGUMENT`: the request can never succeed; the same one will fail again.
 * - `IDENTITY`: the certificate, key or CA cannot be used, or the server does not accept them.
 * - `PERMISSION_DENIED`: the server knows the caller and does not let it.
 * - `NOT_FOUND`: there is no such job.
 * - `FAILED_PRECONDITION`: the job or the server is in a state that forbids it.
 * - `RESOURCE_EXHAUSTED`: a bound of the server is reached; later it may work.
 * - `DATA_LOSS`: the server has lost what was asked for.
 * - `UNAVAILABLE`: there is no way to the server, or none any more, after all tries.
 * - `UNKNOWN_OUTCOME`: a start had no answer; a start with `idempotencyKey` finds the job or starts it.
 * - `DEADLINE_EXCEEDED`: it took longer than the call was given.
 * - `CLOSED`: the client was closed.
 * - `FAILED`: something else; the message says what.
 */
export type JobWorkerErrorCode =
  | "INVALID_ARGUMENT"
  | "IDENTITY"
  | "PERMISSION_DENIED"
  | "NOT_FOUND"
  | "FAILED_PRECONDITION"
  | "RESOURCE_EXHAUSTED"
  | "DATA_LOSS"
  | "UNAVAILABLE"
  | "UNKNOWN_OUTCOME"
  | "DEADLINE_EXCEEDED"
  | "CLOSED"
  | "FAILED";

/** What comes with an error besides its message. */
export interface JobWorkerErrorOptions extends ErrorOptions {
  /** See {@linkcode JobWorkerError.idempotencyKey}. */
  readonly idempotencyKey?: string | undefined;
}

/** All that the library throws, but for what a caller's own signal was aborted with. */
export class JobWorkerError extends Error {
  /** Always `JobWorkerError`. */
  override readonly name = "JobWorkerError";
  /** What went wrong, for programs; the message says it for people, in one line. */
  readonly code: JobWorkerErrorCode;
  /** The key of a start that may or may not have been done. */
  readonly idempotencyKey: string | undefined;

  /**
   * Makes one; a program that stands in for the client in its own tests may want to.
   *
   * @param message One line that says what to do.
   * @param code What went wrong.
   */
  constructor(message: string, code: JobWorkerErrorCode, options: JobWorkerErrorOptions = {}) {
    const { idempotencyKey, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.idempotencyKey = idempotencyKey;
  }
}
