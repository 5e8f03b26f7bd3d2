/** A row of the database, made a record. */
import { log } from "../log.ts";
import type { JobRecord, JobState } from "../model/record.ts";

export interface Row {
  first_offset: number;
  record: string;
}

/** The record in a row. A damaged one stays where it is, and the others are not lost with it. */
export function toRecord(row: unknown): JobRecord | undefined {
  if (row === undefined) return undefined;
  const { first_offset: firstOffset, record: text } = row as Row;
  const record = parseRecord(text);
  if (record !== undefined) return { ...record, firstOffset };
  log.error("a job's record is damaged", { begins: text.slice(0, 60) });
  return undefined;
}

function parseRecord(text: string): JobRecord | undefined {
  try {
    const record = withNewNames(JSON.parse(text) as Partial<JobRecord> | null);
    return isWhole(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Records of servers up to 0.1.0 call the populated file of a job's groups their census. */
function withNewNames(record: Partial<JobRecord> | null): Partial<JobRecord> | null {
  const placement = record?.placement as
    | NonNullable<Partial<JobRecord>["placement"]> & { census?: string }
    | undefined;
  if (placement?.census === undefined) return record;
  const { census: populatedFile, ...rest } = placement;
  return { ...record, placement: { ...rest, populatedFile } };
}

/** Whether all is there that a job could not be handled without. */
function isWhole(record: Partial<JobRecord> | null): record is JobRecord {
  const { id, command, owner, createdAtMs, limits, placement, state } = record ?? {};
  return typeof id === "string" && typeof owner === "string" && typeof createdAtMs === "number" &&
    typeof command?.name === "string" && Array.isArray(command.args) &&
    typeof limits === "object" && limits !== null && Array.isArray(placement?.groups) &&
    Array.isArray(placement.counters) && typeof placement.tracker === "string" &&
    state !== undefined && STATES.has(state?.kind);
}

export const STATES: ReadonlySet<unknown> = new Set<JobState["kind"]>([
  "starting",
  "running",
  "stopping",
  "exited",
  "lost",
]);
