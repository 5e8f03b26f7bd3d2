/** What happens to jobs, as it is told to those who watch. Pure. */
import { hasEnded, type JobRecord } from "./record.ts";

/** What can happen to a job, in the order in which it does. */
export const EVENT_KINDS = [
  "submitted",
  "started",
  "updated",
  "stopping",
  "ended",
  "removed",
] as const;

/** One of {@linkcode EVENT_KINDS}. */
export type EventKind = typeof EVENT_KINDS[number];

/** Something that has happened to a job. */
export interface JobEvent {
  readonly kind: EventKind;
  readonly jobId: string;
  readonly owner: string;
  /** When it happened, in milliseconds since 1970-01-01 UTC: not always when the server learned of it. */
  readonly timeMs: number;
  /** The common name of the certificate that did it; empty: nobody's. */
  readonly by: string;
  /** What names and labels a removed job had: its record is gone. */
  readonly removed?: RemovedJob;
}

/** What is still known of a job that is removed. */
export interface RemovedJob {
  readonly title: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * What a change of a job's state tells; undefined: nothing new, such as a process id or a shorter grace
 * period.
 */
export function eventOfChange(
  before: JobRecord,
  { id, owner, state, stoppedBy = "" }: JobRecord,
  nowMs: number,
): JobEvent | undefined {
  if (before.state.kind === state.kind) return undefined;
  const about = { jobId: id, owner };
  if (hasEnded(state)) return { ...about, kind: "ended", timeMs: state.endedAtMs, by: stoppedBy };
  switch (state.kind) {
    case "pending":
      return { ...about, kind: "submitted", timeMs: nowMs, by: owner };
    case "running":
      return { ...about, kind: "started", timeMs: state.startedAtMs, by: owner };
    case "stopping":
      return { ...about, kind: "stopping", timeMs: nowMs, by: stoppedBy };
    default:
      return undefined;
  }
}

/** What the removal of a job tells. @param by Who removed it; empty: its time was over. */
export function eventOfRemoval(
  { id, owner, settings }: JobRecord,
  by: string,
  nowMs: number,
): JobEvent {
  const { title = "", labels = {} } = settings ?? {};
  return { kind: "removed", jobId: id, owner, timeMs: nowMs, by, removed: { title, labels } };
}

/** What a change of a job's limits tells. @param by Who changed them; empty: it is not known. */
export function eventOfUpdate({ id, owner }: JobRecord, by: string, nowMs: number): JobEvent {
  return { kind: "updated", jobId: id, owner, timeMs: nowMs, by };
}
