/** How calls end: by an error, which becomes a gRPC status, or by an interruption. */
import { type ServiceError, status } from "@grpc/grpc-js";
import {
  DISK_FULL,
  DISK_REFUSES,
  isDiskFull,
  isDiskRefusing,
  JobError,
  type JobErrorKind,
  messageOf,
} from "../errors.ts";
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

const SHUTTING_DOWN =
  "the server is shutting down; its jobs keep running, and the next server takes them over";

/** The two stages of a server's shutdown. */
export interface Shutdown {
  /**
   * Aborted at the beginning: calls that wait for a job end, new calls are refused, others finish.
   */
  readonly begun: AbortSignal;
  /** Aborted when the time for that is over: every call ends. */
  readonly overdue: AbortSignal;
}

/** What interrupts calls. */
export interface Interruptions {
  /** The server shuts down. */
  readonly shutdown: AbortSignal;
  /** The caller has lost access; the reason says why. */
  readonly access: AbortSignal;
}

/** Whether a call must end now. */
export function isInterrupted({ shutdown, access }: Interruptions): boolean {
  return shutdown.aborted || access.aborted;
}

/** Calls back when a call must end from now on, until it is disposed of. */
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

/** The error that an interrupted call ends with. */
export function interruptionOf({ access }: Interruptions): unknown {
  return access.aborted ? access.reason : new JobError("unavailable", SHUTTING_DOWN);
}

/**
 * The status of an error. The only place that makes one: causes and internal errors are logged, and
 * never sent.
 */
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
    return describe(status.NOT_FOUND, "The job's output no longer exists on the server");
  }
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : "";
  log.error("a call failed", { error: messageOf(error), cause });
  if (isDiskFull(error)) return describe(status.RESOURCE_EXHAUSTED, DISK_FULL);
  if (isDiskRefusing(error)) return describe(status.FAILED_PRECONDITION, DISK_REFUSES);
  return describe(status.INTERNAL, "Internal server error; the cause is in the server's log");
}

function describe(code: status, details: string) {
  return { code, details, name: "JobError", message: details };
}
