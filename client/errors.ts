import { escapeUnprintable } from "../common/printable.ts";
import { ExitStatus } from "./exit_status.ts";

/** gRPC status codes that this client distinguishes (grpc.io, "Status codes and their use"). */
export const GrpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** How a call has ended. */
export interface CallStatus {
  /** The gRPC status code. */
  readonly code: number;
  /** The server's words, or what is known of the failure. */
  readonly details: string;
}

/** An error for the user: its message is one line that says what to do. */
export class ClientError extends Error {
  override name = "ClientError";
  readonly exitStatus: number;

  /**
   * @param message What could not be done, why, and what to do about it.
   * @param exitStatus One of {@linkcode ExitStatus}.
   */
  constructor(message: string, exitStatus: number) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

/** A gRPC status that the server answered with, other than OK. */
export class RefusedCallError extends ClientError {
  override name = "RefusedCallError";
  /** The gRPC status code. */
  readonly code: number;

  constructor(message: string, code: number) {
    super(message, exitStatusOf(code));
    this.code = code;
  }
}

/** A call that ended with a broken connection or a stopping server: another try may succeed. */
export class ConnectionLostError extends ClientError {
  override name = "ConnectionLostError";

  constructor(message: string) {
    super(message, ExitStatus.connection);
  }
}

/** The reader of standard output has closed it, as `head` does. Not a failure. */
export class ClosedOutputError extends Error {
  override name = "ClosedOutputError";
}

/**
 * Makes an error of a status other than OK.
 *
 * @param error What a call ended with.
 * @param where The server and the method, for messages that are not the server's own.
 * @returns `ConnectionLostError` where another try may help, `RefusedCallError` where not.
 */
export function fromStatus(
  error: CallStatus,
  where: { server: string; method: string },
): ClientError {
  if (isBrokenConnection(error)) {
    return new ConnectionLostError(
      `Lost the connection to ${where.server}: ${oneLine(error.details)}. Try again.`,
    );
  }
  if (error.code === GrpcStatus.deadlineExceeded) {
    return new RefusedCallError(
      `${where.server} did not answer ${where.method} in time. Check the server, and try again.`,
      error.code,
    );
  }
  if (error.code === GrpcStatus.unimplemented) {
    return new RefusedCallError(
      `The server at ${where.server} does not implement ${where.method}. Upgrade it to this client's version.`,
      error.code,
    );
  }
  const details = oneLine(error.details);
  return new RefusedCallError(
    details === "" ? `${where.method} failed with gRPC status ${error.code}.` : details,
    error.code,
  );
}

/**
 * A closed connection is reported as UNAVAILABLE, as CANCELLED (a forced shutdown resets the streams)
 * or as INTERNAL with a text about the reset.
 */
function isBrokenConnection(error: CallStatus): boolean {
  switch (error.code) {
    case GrpcStatus.unavailable:
    case GrpcStatus.cancelled:
      return true;
    case GrpcStatus.internal:
    case GrpcStatus.unknown:
      return /RST_STREAM|ECONNRESET|EPIPE|socket|GOAWAY/.test(error.details);
    default:
      return false;
  }
}

function exitStatusOf(code: number): number {
  switch (code) {
    case GrpcStatus.invalidArgument:
      return ExitStatus.usage;
    case GrpcStatus.deadlineExceeded:
    case GrpcStatus.unavailable:
      return ExitStatus.connection;
    case GrpcStatus.permissionDenied:
    case GrpcStatus.unauthenticated:
      return ExitStatus.refused;
    case GrpcStatus.notFound:
      return ExitStatus.notFound;
    default:
      return ExitStatus.failed;
  }
}

/**
 * Makes text of others safe to print: it must neither break one-line messages, nor send escape
 * sequences to a terminal, nor turn its writing direction, nor look like another text. Control
 * characters become blanks, and other unprintable ones escapes.
 */
export function oneLine(text: string): string {
  return escapeUnprintable(text.replace(/\s*\p{Cc}+\s*/gu, " ").trim());
}

/** The message of anything that was thrown, in one line. */
export function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
