/** The record in a row of the database, checked: it is JSON that may have been damaged on disk. */
import * as v from "valibot";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { JobRecord } from "../model/record.ts";
import { SIGNALS } from "../../common/signals.ts";

/** The columns that a record is made of; the others are copies of its fields, to search by. */
export const ROW = v.object({ first_offset: v.number(), record: v.string() });

type CounterName = JobRecord["placement"]["counters"][number]["name"];

/** A name that this server does not know is that of a counter it does not read. */
const COUNTER_NAME = v.custom<CounterName>((name) => typeof name === "string");

const COUNTS = v.record(v.string(), v.number());

const BEGUN = { pid: v.number(), startedAtMs: v.number() };

const STATE = v.variant("kind", [
  v.object({ kind: v.literal("starting") }),
  v.object({ kind: v.literal("running"), ...BEGUN }),
  v.object({ kind: v.literal("stopping"), ...BEGUN, killAtMs: v.number() }),
  v.object({
    kind: v.literal("exited"),
    ...BEGUN,
    exitCode: v.number(),
    signal: v.number(),
    oomKilled: v.boolean(),
    usage: COUNTS,
    endedAtMs: v.number(),
  }),
  v.object({ kind: v.literal("lost"), ...BEGUN, reason: v.string(), endedAtMs: v.number() }),
]);

const SETTINGS = v.object({
  user: v.string(),
  workingDirectory: v.string(),
  umask: v.number(),
  timeoutMs: v.number(),
  stopSignal: v.picklist(SIGNALS),
  graceMs: v.exactOptional(v.number()),
  isolation: v.object({
    privateTmp: v.boolean(),
    noNetwork: v.boolean(),
    ownProcesses: v.boolean(),
  }),
  title: v.string(),
  labels: v.record(v.string(), v.string()),
  secretsDigest: v.string(),
});

/** A {@linkcode JobRecord}, but for its first offset, which is a column. */
const RECORD: v.GenericSchema<Omit<JobRecord, "firstOffset">> = v.object({
  id: v.string(),
  command: v.object({ name: v.string(), args: v.array(v.string()) }),
  settings: v.exactOptional(SETTINGS),
  timedOut: v.exactOptional(v.boolean()),
  outputBytes: v.exactOptional(v.number()),
  owner: v.string(),
  idempotencyKey: v.string(),
  createdAtMs: v.number(),
  limits: COUNTS,
  askedLimits: v.exactOptional(COUNTS),
  placement: v.object({
    groups: v.array(v.string()),
    tracker: v.string(),
    populatedFile: v.string(),
    counters: v.array(v.object({ name: COUNTER_NAME, file: v.string() })),
    bootId: v.exactOptional(v.string()),
  }),
  state: STATE,
});

/**
 * Reads the record in a row.
 *
 * @param row Of {@linkcode ROW}; undefined: no row was found.
 * @returns Undefined for a damaged record: it is logged, and stays in the database as it is.
 */
export function toRecord(row: unknown): JobRecord | undefined {
  if (row === undefined) return undefined;
  const { first_offset: firstOffset, record: text } = v.parse(ROW, row);
  try {
    const record = withPresentNames(JSON.parse(text));
    v.assert(RECORD, record); // No copy: fields of a later server are kept.
    return { ...record, firstOffset };
  } catch (error) {
    log.error("a job's record is damaged", {
      begins: text.slice(0, 60),
      problem: messageOf(error),
    });
    return undefined;
  }
}

/** Records of servers up to 0.1.0 have the populated file of a job's groups as `census`. */
const OLD_NAMES = v.looseObject({ placement: v.looseObject({ census: v.string() }) });

function withPresentNames(record: unknown): unknown {
  if (!v.is(OLD_NAMES, record)) return record;
  const { census: populatedFile, ...placement } = record.placement;
  return { ...record, placement: { ...placement, populatedFile } };
}
