/** The text of the audit trail: which events become a line, and with which fields. Pure. */
import type { LogFields } from "../log.ts";
import { isChange, isHealthMethod, isMethod } from "../rbac.ts";
import type { AccessEvent, CallEnded, ChangeBegun, ChangeDetails, ChangeEnded } from "./events.ts";

/** A method that does not exist has a name of any length. */
const MAX_METHOD_CHARACTERS = 100;

/** So has a job that does not exist; names and ids of jobs are shorter. */
const MAX_JOB_CHARACTERS = 64;

/** A certificate's name and the reason of a refusal; the serial number tells the rest. */
const MAX_TEXT_CHARACTERS = 256;

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
  /** Fields for the trail only: by a digest, a reader of the log could confirm a guess. */
  readonly trailFields?: LogFields;
}

/** The line of an event; undefined for one that is not worth a line. */
export function auditEntryOf(event: AccessEvent): AuditEntry | undefined {
  switch (event.kind) {
    case "change-begun":
      return changeEntry(event);
    case "change-ended":
      return {
        event: "a change has ended after its call",
        fields: { ...whoOf(event), job: event.job, code: event.code },
      };
    case "call-ended":
      return callEntry(event);
    case "handshake-refused":
      return {
        event: "a handshake was refused",
        fields: { peer: event.peer, reason: cut(event.reason) },
      };
    case "reset-storm": {
      const { peer, holder: { name, serial } } = event;
      return {
        event: "a connection was closed",
        fields: { who: cut(name), serial, peer, reason: "it reset too many streams" },
      };
    }
  }
}

/** Whether an event is about what changes something, also if it was refused. */
export function isAboutChange(event: AccessEvent): boolean {
  return "path" in event && isChange(event.path);
}

/** Whether a call was refused for who called, or how often, or since there is no such method. */
export function isRefusal({ path, code }: CallEnded): boolean {
  return REFUSALS.has(code) || !isMethod(path) || code.startsWith("HTTP ");
}

function changeEntry(event: ChangeBegun): AuditEntry {
  return withDetails(event.details, {
    event: "a change begins",
    fields: { ...whoOf(event), job: event.job },
  });
}

function callEntry(event: CallEnded): AuditEntry | undefined {
  const { path, job, code, details, durationMs } = event;
  // Probes ask every few seconds, all the time: of these only refused ones are written.
  if (isHealthMethod(path) && !isRefusal(event)) return undefined;
  return withDetails(details, {
    event: "call",
    fields: {
      ...whoOf(event),
      job: job?.slice(0, MAX_JOB_CHARACTERS),
      code,
      ms: Math.round(durationMs * 10) / 10,
    },
  });
}

function withDetails(
  { argumentsDigest, ...details }: ChangeDetails,
  { event, fields }: AuditEntry,
): AuditEntry {
  const entry = { event, fields: { ...fields, ...details } };
  return argumentsDigest === undefined ? entry : { ...entry, trailFields: { argumentsDigest } };
}

function whoOf({ path, caller, peer }: CallEnded | ChangeBegun | ChangeEnded): LogFields {
  return {
    method: path.slice(0, MAX_METHOD_CHARACTERS),
    who: cut(caller.name),
    serial: caller.serial,
    roles: caller.roles.join(","),
    peer,
  };
}

function cut(text: string): string {
  return text.slice(0, MAX_TEXT_CHARACTERS);
}
