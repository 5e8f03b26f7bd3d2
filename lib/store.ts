/** What is remembered of jobs, in an SQLite file below the log directory. */
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { messageOf } from "./errors.ts";
import { LogSync } from "./log_sync.ts";
import { log } from "./log.ts";
import type { JobRecord, JobState } from "./job_state.ts";
import { hasEnded } from "./job_state.ts";

/** Where the records are, in the log directory. */
const DATABASE_FILE = "jobs.db";

/**
 * The log is brought into the file when it is so long (16 MiB): that waits for the disk with the
 * server's only thread, and a page that has changed often by then is written once.
 */
const CHECKPOINT_PAGES = 4000;

/** Grows by one with each change of the tables; a newer file is refused, an older one is brought up. */
const SCHEMA_VERSION = 2;

/** What brings a file up from each version to the next one. */
const SCHEMAS = [
  `
  CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    idempotency_key TEXT,
    active INTEGER NOT NULL,      -- 1 until the job has ended
    ended_at_ms INTEGER,
    output_bytes INTEGER,         -- what the output of an ended job takes on disk
    first_offset INTEGER NOT NULL,
    record TEXT NOT NULL          -- all else, as JSON
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX jobs_active ON jobs (active) WHERE active = 1;
  CREATE INDEX jobs_ended ON jobs (ended_at_ms, output_bytes) WHERE active = 0;
  CREATE UNIQUE INDEX jobs_key ON jobs (owner, idempotency_key);
`,
  `
  ALTER TABLE jobs ADD COLUMN created_at_ms INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN title TEXT;
  UPDATE jobs SET created_at_ms = json_extract(record, '$.createdAtMs');
  CREATE INDEX jobs_created ON jobs (created_at_ms, id);
  CREATE INDEX jobs_created_active ON jobs (created_at_ms, id) WHERE active = 1;
  CREATE INDEX jobs_title ON jobs (title, created_at_ms) WHERE title IS NOT NULL;
`,
];

/** A job that has ended, as retention sees it. */
export interface EndedJob {
  id: string;
  endedAtMs: number;
  /** What its output takes on disk. */
  outputBytes: number;
}

/** Which jobs {@linkcode JobStore.scan} is to find. */
export interface JobFilter {
  readonly activeOnly: boolean;
  /** Empty: all. */
  readonly states: readonly JobState["kind"][];
  /** Undefined: everybody's. */
  readonly owner: string | undefined;
  /** All of them; the names hold no quotes. */
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAfterMs: number;
}

/** A job's place in the order of all jobs. */
export interface JobCursor {
  readonly createdAtMs: number;
  readonly id: string;
}

interface ScanRow {
  id: string;
  created_at_ms: number;
  first_offset: number;
  record: string | null;
}

interface Row {
  first_offset: number;
  record: string;
}

/**
 * The records of jobs. Each change is one transaction; a crash at any point leaves the file whole. A
 * change outlives the server at once, and a loss of power when {@linkcode JobStore.synced} says so.
 */
export class JobStore {
  readonly #database: DatabaseSync;
  readonly #disk: LogSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #select: StatementSync;
  readonly #selectKey: StatementSync;
  readonly #setFirstOffset: StatementSync;
  readonly #delete: StatementSync;

  /**
   * Opens or makes the file, and holds it alone for as long as this process lives.
   *
   * @param folder The log directory.
   * @throws {Error} When another server holds it, or it is not readable as a store of this version.
   */
  constructor(folder: string) {
    this.#database = openDatabase(folder);
    this.#disk = new LogSync(join(folder, `${DATABASE_FILE}-wal`));
    const sql = (text: string) => this.#database.prepare(text);
    this.#insert = sql(
      "INSERT INTO jobs (id, owner, idempotency_key, active, ended_at_ms, first_offset, record, " +
        "created_at_ms, title) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#update = sql(
      "UPDATE jobs SET active = ?, ended_at_ms = ?, output_bytes = ?, record = ? WHERE id = ?",
    );
    this.#select = sql("SELECT first_offset, record FROM jobs WHERE id = ?");
    this.#selectKey = sql(
      "SELECT first_offset, record FROM jobs WHERE owner = ? AND idempotency_key = ?",
    );
    this.#setFirstOffset = sql("UPDATE jobs SET first_offset = ? WHERE id = ?");
    this.#delete = sql("DELETE FROM jobs WHERE id = ?");
  }

  /** Adds a record. @throws When the id or the owner's idempotency key is taken, or the disk full. */
  insert(record: JobRecord): void {
    const { id, owner, idempotencyKey, firstOffset } = record;
    this.#insert.run(
      id,
      owner,
      idempotencyKey === "" ? null : idempotencyKey,
      hasEnded(record.state) ? 0 : 1,
      endedAtMs(record.state),
      firstOffset,
      JSON.stringify(record),
      record.createdAtMs,
      record.settings?.title || null,
    );
  }

  /**
   * Stores a record's new state.
   *
   * @param outputBytes What the output takes on disk, of a job that has ended.
   */
  update(record: JobRecord, outputBytes = 0): void {
    const { id, state } = record;
    const active = hasEnded(state) ? 0 : 1;
    this.#update.run(active, endedAtMs(state), outputBytes, JSON.stringify(record), id);
  }

  /** @returns The record with this id, if there is one. */
  get(id: string): JobRecord | undefined {
    return reading(() => toRecord(this.#select.get(id)));
  }

  /** @returns The record of the job that an owner started with this idempotency key. */
  getByKey(owner: string, idempotencyKey: string): JobRecord | undefined {
    return reading(() => toRecord(this.#selectKey.get(owner, idempotencyKey)));
  }

  /** @returns The newest job with this name. */
  getByTitle(title: string): JobRecord | undefined {
    return reading(() =>
      toRecord(
        this.#database.prepare(
          "SELECT first_offset, record FROM jobs WHERE title = ? " +
            "ORDER BY created_at_ms DESC LIMIT 1",
        ).get(title),
      )
    );
  }

  /** @returns Jobs whose id begins with a text, up to so many. */
  withPrefix(prefix: string, count: number): JobRecord[] {
    const rows = reading(() =>
      this.#database.prepare(
        "SELECT first_offset, record FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
      ).all(prefix, `${prefix}~`, count)
    );
    return rows.flatMap((row) => toRecord(row) ?? []);
  }

  /**
   * Looks through a stretch of the jobs, the newest first.
   *
   * @param cursor Behind this one; undefined: from the newest on.
   * @param scanCount How many jobs are looked at, whether they match or not.
   * @returns Those that match, each with its cursor, and the last cursor looked at: undefined at the end.
   */
  scan(
    filter: JobFilter,
    { cursor, scanCount }: { cursor: JobCursor | undefined; scanCount: number },
  ): { found: { record: JobRecord; cursor: JobCursor }[]; last: JobCursor | undefined } {
    const { createdAtMs, id } = cursor ?? { createdAtMs: Number.MAX_SAFE_INTEGER, id: "" };
    const { clauses, values } = clausesOf(filter);
    const rows = reading(() =>
      this.#database.prepare(
        `SELECT id, created_at_ms, first_offset, CASE WHEN ${clauses} THEN record END AS record FROM ` +
          "jobs WHERE (created_at_ms, id) < (?, ?) AND created_at_ms >= ? " +
          `${
            filter.activeOnly ? "AND active = 1 " : ""
          }ORDER BY created_at_ms DESC, id DESC LIMIT ?`,
      ).all(...values, createdAtMs, id, filter.createdAfterMs, scanCount)
    ) as unknown as ScanRow[];
    const found = rows.flatMap((row) => {
      if (row.record === null) return [];
      const record = toRecord(row);
      return record === undefined ? [] : [{ record, cursor: cursorOf(row) }];
    });
    const last = rows.at(-1);
    return { found, last: rows.length < scanCount || !last ? undefined : cursorOf(last) };
  }

  /** Stores, before anything is cut off, where a job's output will begin. */
  setFirstOffset(id: string, firstOffset: number): void {
    this.#setFirstOffset.run(firstOffset, id);
  }

  /** @returns All jobs that had not ended when they were last heard of. */
  active(): JobRecord[] {
    const rows = reading(() =>
      this.#database.prepare("SELECT first_offset, record FROM jobs WHERE active = 1").all()
    );
    return rows.flatMap((row) => toRecord(row) ?? []);
  }

  /** @returns How many jobs have ended and are on record, and what their output takes on disk. */
  endedTotals(): { count: number; outputBytes: number } {
    const row = reading(() =>
      this.#database.prepare(
        "SELECT count(*) AS count, coalesce(sum(output_bytes), 0) AS bytes FROM jobs WHERE active = 0",
      ).get()
    ) as { count: number; bytes: number };
    return { count: row.count, outputBytes: row.bytes };
  }

  /** @returns Jobs that have ended, the oldest first. */
  oldestEnded(count: number): EndedJob[] {
    const rows = this.#database.prepare(
      "SELECT id, ended_at_ms, output_bytes FROM jobs WHERE active = 0 ORDER BY ended_at_ms LIMIT ?",
    ).all(count) as { id: string; ended_at_ms: number; output_bytes: number | null }[];
    return rows.map((row) => ({
      id: row.id,
      endedAtMs: row.ended_at_ms,
      outputBytes: row.output_bytes ?? 0,
    }));
  }

  /** Forgets a job. */
  delete(id: string): void {
    this.#delete.run(id);
  }

  /**
   * Settles when all that has been stored before is on the disk.
   *
   * @throws When the disk fails.
   */
  synced(): Promise<void> {
    return this.#disk.sync();
  }

  /** Closes the file, and lets another server have it. */
  close(): void {
    this.#database.close();
    this.#disk.close();
  }
}

function openDatabase(folder: string): DatabaseSync {
  const file = join(folder, DATABASE_FILE);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    // The lock goes with the process, however it ends.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;");
    // NORMAL: it is not in each commit that the disk is waited for, see LogSync.
    database.exec(
      `PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; ` +
        "BEGIN EXCLUSIVE; COMMIT;",
    );
    prepareSchema(database);
    return database;
  } catch (error) {
    database?.close();
    const problem = messageOf(error);
    // The runtime gives no error code of SQLite's, only its text.
    throw new Error(
      problem.includes("database is locked")
        ? `another worker-server uses the log directory ${folder}; stop it, or choose another one ` +
          "for this server with --log-dir"
        : `cannot open the records of jobs in ${file}: ${problem}; make it usable, or move it away ` +
          "to begin without records",
      { cause: error },
    );
  }
}

function prepareSchema(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA user_version").get() as { user_version: number };
  if (row.user_version === SCHEMA_VERSION) return;
  if (row.user_version > SCHEMA_VERSION) {
    throw new Error("it was written by a newer version of worker-server");
  }
  const steps = SCHEMAS.slice(row.user_version).join("");
  database.exec(`BEGIN; ${steps} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`);
}

/** Says what is broken when the file has been damaged since it was opened. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(
      `cannot read the records of jobs in ${DATABASE_FILE}: ${
        messageOf(error)
      }; put a copy of it back, or ` +
        "move it away to begin without records",
      { cause: error },
    );
  }
}

/** The record in a row. A damaged one stays where it is, and the others are not lost with it. */
function toRecord(row: unknown): JobRecord | undefined {
  if (row === undefined) return undefined;
  const { first_offset: firstOffset, record: text } = row as Row;
  const record = parseRecord(text);
  if (record !== undefined) return { ...record, firstOffset };
  log.error("a job's record is damaged", { begins: text.slice(0, 60) });
  return undefined;
}

function parseRecord(text: string): JobRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<JobRecord> | null;
    return isWhole(record) ? record : undefined;
  } catch {
    return undefined;
  }
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

const STATES: ReadonlySet<unknown> = new Set<JobState["kind"]>([
  "starting",
  "running",
  "stopping",
  "exited",
  "lost",
]);

function clausesOf({ states, owner, labels }: JobFilter): { clauses: string; values: string[] } {
  const clauses = ["json_extract(record, '$.state.kind') <> 'starting'"];
  const values: string[] = [];
  if (states.length > 0) {
    clauses.push(`json_extract(record, '$.state.kind') IN (${states.map(() => "?").join(", ")})`);
    values.push(...states);
  }
  if (owner !== undefined) {
    clauses.push("owner = ?");
    values.push(owner);
  }
  for (const [name, value] of Object.entries(labels)) {
    clauses.push("json_extract(record, ?) = ?");
    values.push(`$.settings.labels."${name}"`, value);
  }
  return { clauses: clauses.join(" AND "), values };
}

function cursorOf({ created_at_ms: createdAtMs, id }: ScanRow): JobCursor {
  return { createdAtMs, id };
}

function endedAtMs(state: JobState): number | null {
  return hasEnded(state) ? state.endedAtMs : null;
}
