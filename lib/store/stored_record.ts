/** The record in a row of the database, checked: it is JSON that may have been damaged on disk. */
import * as v from "valibot";
import { isJobId } from "../../common/job_id.ts";
import { SIGNALS } from "../../common/signals.ts";
import type { JobRecord } from "../model/record.ts";

/** The columns that a record is made of; the others are copies of its fields, to search by. */
export const COLUMNS = "id, first_offset, record";

/** A row of {@linkcode COLUMNS}. Integers are read as bigint: SQLite's may be too large for numbers. */
export const ROW = v.object({ id: v.string(), first_offset: v.bigint(), record: v.string() });

/** The latest time that a Date can hold, in milliseconds since 1970. */
const LATEST_MS = 8.64e15;

const TIME_MS = v.pipe(v.number(), v.minValue(0), v.maxValue(LATEST_MS));

const INTEGER = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** CPU cores are counted in hundredths. */
const COUNT = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

const COUNTS = v.record(v.string(), COUNT);

const DISK = v.objectWithRest({ disk: v.string(), number: v.exactOptional(v.string()) }, COUNT);

const LIMITS = v.objectWithRest({
  allowedCpus: v.exactOptional(v.string()),
  disks: v.exactOptional(v.array(DISK)),
}, COUNT);

const BEGUN = { pid: INTEGER, startedAtMs: TIME_MS, node: v.exactOptional(v.string()) };

const STATE = v.variant("kind", [
  v.object({ kind: v.literal("starting") }),
  v.object({ kind: v.literal("pending"), openAfter: v.exactOptional(v.array(v.string())) }),
  v.object({ kind: v.literal("running"), ...BEGUN }),
  v.object({ kind: v.literal("stopping"), ...BEGUN, killAtMs: TIME_MS }),
  v.object({
    kind: v.literal("exited"),
    ...BEGUN,
    exitCode: INTEGER,
    signal: INTEGER,
    oomKilled: v.boolean(),
    usage: COUNTS,
    endedAtMs: TIME_MS,
  }),
  v.object({ kind: v.literal("lost"), ...BEGUN, reason: v.string(), endedAtMs: TIME_MS }),
  v.object({ kind: v.literal("never-ran"), reason: v.string(), endedAtMs: TIME_MS }),
]);

const QUEUE = v.object({
  queue: v.exactOptional(v.string()),
  partition: v.exactOptional(v.string()),
  account: v.exactOptional(v.string()),
  qos: v.exactOptional(v.string()),
  nice: v.exactOptional(v.pipe(v.number(), v.safeInteger())),
  cpus: v.exactOptional(INTEGER),
  gpus: v.exactOptional(v.string()),
  constraint: v.exactOptional(v.string()),
  beginAtMs: v.exactOptional(TIME_MS),
  after: v.exactOptional(v.array(v.string())),
});

const ENGINE = v.object({
  engineJob: v.exactOptional(v.string()),
  engineState: v.exactOptional(v.string()),
  node: v.exactOptional(v.string()),
  pendingReason: v.exactOptional(v.string()),
  estimatedStartMs: v.exactOptional(TIME_MS),
  partition: v.exactOptional(v.string()),
  asOfMs: TIME_MS,
});

const SETTINGS = v.object({
  user: v.string(),
  group: v.exactOptional(v.string()),
  workingDirectory: v.string(),
  umask: INTEGER,
  timeoutMs: INTEGER,
  stopSignal: v.picklist(SIGNALS),
  graceMs: v.exactOptional(INTEGER),
  isolation: v.object({
    privateTmp: v.boolean(),
    noNetwork: v.boolean(),
    ownProcesses: v.boolean(),
  }),
  title: v.string(),
  labels: v.record(v.string(), v.string()),
  secretsDigest: v.string(),
  openStdin: v.exactOptional(v.literal(true)),
  openFiles: v.exactOptional(INTEGER),
  separateStderr: v.exactOptional(v.literal(true)),
  queue: v.exactOptional(QUEUE),
});

/** A {@linkcode JobRecord}, but for its first offset, which is a column. */
const RECORD: v.GenericSchema<Omit<JobRecord, "firstOffset">> = v.object({
  id: v.pipe(v.string(), v.check(isJobId)),
  command: v.object({ name: v.string(), args: v.array(v.string()) }),
  settings: v.exactOptional(SETTINGS),
  timedOut: v.exactOptional(v.boolean()),
  stoppedBy: v.exactOptional(v.string()),
  outputBytes: v.exactOptional(INTEGER),
  stderrBytes: v.exactOptional(INTEGER),
  stderrFirstOffset: v.exactOptional(INTEGER),
  owner: v.string(),
  idempotencyKey: v.string(),
  createdAtMs: TIME_MS,
  limits: LIMITS,
  askedLimits: v.exactOptional(LIMITS),
  ownLimits: v.exactOptional(LIMITS),
  comingLimits: v.exactOptional(v.object({ limits: LIMITS, ownLimits: LIMITS })),
  handle: v.record(v.string(), v.unknown()),
  attempt: v.exactOptional(v.pipe(INTEGER, v.minValue(1))),
  engine: v.exactOptional(ENGINE),
  state: STATE,
});

/**
 * Reads the record in a row.
 *
 * @throws {Error} When it is damaged.
 */
export function toRecord(row: v.InferOutput<typeof ROW>): JobRecord {
  const firstOffset = v.parse(INTEGER, Number(row.first_offset));
  return { ...parseRecord(row.id, row.record), firstOffset };
}

/**
 * Reads a record.
 *
 * @param id The job that it is kept for.
 * @throws {Error} When it is not whole, or another job's.
 */
export function parseRecord(id: string, text: string): Omit<JobRecord, "firstOffset"> {
  const record = withPresentNames(JSON.parse(text));
  v.assert(RECORD, record); // No copy: fields of a later server are kept.
  if (record.id !== id) throw new Error("it is the record of another job");
  return record;
}

/**
 * A record as it is stored: the handle under the name that it has had since the first version, so that an
 * earlier server can take the jobs over again.
 */
export function storedText({ handle, ...record }: JobRecord): string {
  return JSON.stringify({ ...record, placement: handle });
}

const STORED = v.looseObject({ placement: v.looseObject({}) });

/** Records of servers up to 0.1.0 have the populated file of a job's groups as `census`. */
const OLD_NAMES = v.looseObject({ census: v.string() });

function withPresentNames(stored: unknown): unknown {
  if (!v.is(STORED, stored)) return stored;
  const { placement, ...record } = stored;
  if (!v.is(OLD_NAMES, placement)) return { ...record, handle: placement };
  const { census: populatedFile, ...rest } = placement;
  return { ...record, handle: { ...rest, populatedFile } };
}
