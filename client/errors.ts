import type { ServiceError } from "@grpc/grpc-js";
import { ExitStatus } from "./exit_status.ts";

/** Status codes of gRPC that this client tells apart (grpc.io, "Status codes and their use"). */
export const GrpcStatus = {
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

/** The server's own answer, when it is not OK. */
export class RefusedCallError extends ClientError {
  override name = "RefusedCallError";
  /** The gRPC status code. */
  readonly code: number;

  constructor(message: string, code: number) {
    super(message, exitStatusOf(code));
    this.code = code;
  }
}

/** A call that a broken connection or a stopping server ended: another try may succeed. */
export class ConnectionLostError extends ClientError {
  override name = "ConnectionLostError";

  constructor(message: string) {
    super(message, ExitStatus.connection);
  }
}

/** Whoever read our standard output went away, as `head` does. Not a failure. */
export class ClosedOutputError extends Error {
  override name = "ClosedOutputError";
}

/**
 * Turns an error of grpc-js into one of ours.
 *
 * @param error What a call of grpc-js ended with.
 * @param where The server and the method, for messages that the server did not write itself.
 * @returns `ConnectionLostError` where another try may help, `RefusedCallError` where not.
 */
export function fromServiceError(
  error: ServiceError,
  where: { server: string; method: string },
): ClientError {
  if (isBrokenConnection(error)) {
    return new ConnectionLostError(
      `Lost the connection to ${where.server}: ${oneLine(error.details)}. Try again.`,
    );
  }
  if (error.code === GrpcStatus.deadlineExceeded) {
    return new RefusedCallError(
      `No answer to ${where.method} from ${where.server} in time. Check the server, and try again.`,
      error.code,
    );
  }
  if (error.code === GrpcStatus.unimplemented) {
    return new RefusedCallError(
      `The server at ${where.server} does not offer ${where.method}. Upgrade it to this client's version.`,
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
 * A peer that goes away shows as UNAVAILABLE, as CANCELLED (its forced shutdown resets the streams)
 * or as INTERNAL with grpc-js's own text about the reset.
 */
function isBrokenConnection(error: ServiceError): boolean {
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
 * Makes one line of any text: what others wrote must neither break our one-line messages nor send
 * escape sequences to a terminal.
 */
export function oneLine(text: string): string {
  return text.replace(/\s*\p{Cc}+\s*/gu, " ").trim();
}

/** The text of whatever was thrown, in one line. */
export function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
