/** How calls end: by an error that becomes a status, or before their time. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { JobError, type JobErrorKind, messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** The gRPC status of each kind of error. */
const STATUS_CODES: Record<JobErrorKind, status> = {
  "unauthenticated": status.UNAUTHENTICATED,
  "invalid": status.INVALID_ARGUMENT,
  "denied": status.PERMISSION_DENIED,
  "not-found": status.NOT_FOUND,
  "precondition": status.FAILED_PRECONDITION,
  "exhausted": status.RESOURCE_EXHAUSTED,
  "unavailable": status.UNAVAILABLE,
  "internal": status.INTERNAL,
};

const SHUTTING_DOWN = "the server is shutting down; jobs go on, and the next server knows them";

/** How a server comes to its end. */
export interface Shutdown {
  /** Aborted when it begins: what waits for a job ends, new calls are refused, others finish. */
  readonly begun: AbortSignal;
  /** Aborted when the time for that is up: every call ends. */
  readonly overdue: AbortSignal;
}

/** What ends calls before their time. */
export interface Interruptions {
  /** The server ends. */
  readonly shutdown: AbortSignal;
  /** The caller has lost access; the reason says why. */
  readonly access: AbortSignal;
}

/** Calls back when a call must end, until it is disposed of. */
export function onInterruption(
  { shutdown, access }: Interruptions,
  interrupt: () => void,
): Disposable {
  shutdown.addEventListener("abort", interrupt);
  access.addEventListener("abort", interrupt);
  return {
    [Symbol.dispose]: () => {
      shutdown.removeEventListener("abort", interrupt);
      access.removeEventListener("abort", interrupt);
    },
  };
}

/** The error that a call ends with then. */
export function interruptionOf({ access }: Interruptions): unknown {
  return access.aborted ? access.reason : new JobError("unavailable", SHUTTING_DOWN);
}

/** The one boundary between errors and gRPC: what is not meant for a client stays in the log. */
export function toStatus(
  error: unknown,
): Pick<ServiceError, "code" | "details" | "name" | "message"> {
  if (error instanceof JobError && error.kind !== "internal") {
    if (error.cause !== undefined) {
      log.warn(error.message, { cause: messageOf(error.cause) });
    }
    return describe(STATUS_CODES[error.kind], error.message);
  }
  if (error instanceof Deno.errors.NotFound) {
    return describe(status.NOT_FOUND, "The job's output is gone from the server");
  }
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : "";
  log.error("a call failed", { error: messageOf(error), cause });
  return describe(status.INTERNAL, "The server failed; its log says why");
}

function describe(code: status, details: string) {
  return { code, details, name: "JobError", message: details };
}
