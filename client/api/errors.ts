/**
 * The kinds of errors:
 *
 * - `INVALID_ARGUMENT`: the request is not valid; the same one will fail again.
 * - `IDENTITY`: the certificate, key or CA cannot be used, or the server does not accept them.
 * - `PERMISSION_DENIED`: the caller is not allowed to do this.
 * - `NOT_FOUND`: there is no such job.
 * - `FAILED_PRECONDITION`: the job or the server is in a state that forbids it.
 * - `RESOURCE_EXHAUSTED`: a limit of the server is reached; a later try may succeed.
 * - `DATA_LOSS`: the server has lost the requested data.
 * - `UNAVAILABLE`: the server cannot be reached, after all tries.
 * - `UNKNOWN_OUTCOME`: a start had no answer; another one with `idempotencyKey` finds or starts the job.
 * - `DEADLINE_EXCEEDED`: the call took longer than its timeout.
 * - `CLOSED`: the client was closed.
 * - `FAILED`: any other failure; see the message.
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

/** The details of an error besides its message. */
export interface JobWorkerErrorOptions extends ErrorOptions {
  /** See {@linkcode JobWorkerError.idempotencyKey}. */
  readonly idempotencyKey?: string | undefined;
}

/** Everything that the library throws, except the reason of a caller's own signal. */
export class JobWorkerError extends Error {
  /** Always `JobWorkerError`. */
  override readonly name = "JobWorkerError";
  /** The kind of error, for programs; the message is for people, in one line. */
  readonly code: JobWorkerErrorCode;
  /** The key of a start whose outcome is unknown. */
  readonly idempotencyKey: string | undefined;

  /**
   * For the library, and for programs that replace the client in their own tests.
   *
   * @param message One line that says what to do.
   * @param code The kind of error.
   */
  constructor(message: string, code: JobWorkerErrorCode, options: JobWorkerErrorOptions = {}) {
    const { idempotencyKey, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.idempotencyKey = idempotencyKey;
  }
}
