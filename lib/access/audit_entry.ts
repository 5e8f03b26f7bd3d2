/** The text of the audit trail: which events become a line, and with which fields. Pure. */
import type { LogFields } from "../log.ts";
import { isChange, isHealthMethod } from "../rbac.ts";
import type { AccessEvent, CallEnded } from "./events.ts";

/** A method that does not exist has a name of any length. */
const MAX_METHOD_CHARACTERS = 100;

/** So has a job that does not exist; names and ids of jobs are shorter. */
const MAX_JOB_CHARACTERS = 64;

/** Statuses of calls that were refused before any handler saw them. */
const REFUSALS: ReadonlySet<string> = new Set([
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
]);

/** One line of the trail. */
export interface AuditEntry {
  /** What happened; users search for this text. */
  readonly event: string;
  /** Never a key, an environment value, an argument or output. */
  readonly fields: LogFields;
}

/** The line of an event; undefined for one that is not worth a line. */
export function auditEntryOf(event: AccessEvent): AuditEntry | undefined {
  switch (event.kind) {
    case "call-ended":
      return callEntry(event);
    case "handshake-refused": {
      const { peer, reason, unreportedBefore } = event;
      return {
        event: "a handshake was refused",
        fields: {
          peer,
          reason,
          ...(unreportedBefore > 0 && { othersBefore: unreportedBefore }),
        },
      };
    }
    case "reset-storm":
      return {
        event: "a connection was closed",
        fields: { peer: event.peer, reason: "it reset too many streams" },
      };
  }
}

/** Whether an event's line is kept when others find no room: somebody called what changes something. */
export function mustKeepLineOf(event: AccessEvent): boolean {
  return event.kind === "call-ended" && isChange(event.path);
}

function callEntry(event: CallEnded): AuditEntry | undefined {
  const { path, caller, peer, job, code, durationMs } = event;
  // Probes ask every few seconds, all the time: of these only refused ones are written.
  if (isHealthMethod(path) && !REFUSALS.has(code)) return undefined;
  return {
    event: "call",
    fields: {
      method: path.slice(0, MAX_METHOD_CHARACTERS),
      who: caller.name,
      serial: caller.serial,
      roles: caller.roles.join(","),
      peer,
      job: job?.slice(0, MAX_JOB_CHARACTERS),
      code,
      ms: durationMs === undefined ? undefined : Math.round(durationMs * 10) / 10,
    },
  };
}
