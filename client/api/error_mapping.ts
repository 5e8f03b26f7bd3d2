import { ConnectionFailure } from "../connection/connection_failure.ts";
import { ClientError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { UnknownOutcomeError } from "../jobs/start.ts";
import { JobWorkerError, type JobWorkerErrorCode } from "./errors.ts";

/** The error for an invalid argument. */
export function invalid(message: string): JobWorkerError {
  return new JobWorkerError(message, "INVALID_ARGUMENT");
}

/** Converts the client's errors to those of the library; all others are returned as they are. */
export function toJobWorkerError(error: unknown): unknown {
  if (!(error instanceof ClientError)) return error;
  const idempotencyKey = error instanceof UnknownOutcomeError ? error.idempotencyKey : undefined;
  return new JobWorkerError(withoutFlags(error.message), codeOf(error), {
    cause: error,
    idempotencyKey,
  });
}

function codeOf(error: ClientError): JobWorkerErrorCode {
  if (error instanceof UnknownOutcomeError) return "UNKNOWN_OUTCOME";
  if (error instanceof RefusedCallError) return codeOfStatus(error.code);
  if (error.exitStatus === ExitStatus.refused) return "IDENTITY";
  if (error instanceof ConnectionFailure) return "UNAVAILABLE";
  if (error.exitStatus === ExitStatus.connection) return "UNAVAILABLE";
  return error.exitStatus === ExitStatus.usage ? "INVALID_ARGUMENT" : "FAILED";
}

function codeOfStatus(status: number): JobWorkerErrorCode {
  switch (status) {
    case GrpcStatus.invalidArgument:
      return "INVALID_ARGUMENT";
    case GrpcStatus.deadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case GrpcStatus.notFound:
      return "NOT_FOUND";
    case GrpcStatus.permissionDenied:
      return "PERMISSION_DENIED";
    case GrpcStatus.resourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case GrpcStatus.failedPrecondition:
      return "FAILED_PRECONDITION";
    case GrpcStatus.unavailable:
      return "UNAVAILABLE";
    case GrpcStatus.dataLoss:
      return "DATA_LOSS";
    case GrpcStatus.unauthenticated:
      return "IDENTITY";
    default:
      return "FAILED";
  }
}

/** The library's options have the names of the command line's, without dashes. */
function withoutFlags(message: string): string {
  return message.replace(
    /--(server|identity|ca|cert|key)( FILE| HOST:PORT)?\b/g,
    (_, name: string) => `the option "${name}"`,
  );
}
