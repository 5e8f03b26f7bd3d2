/** The records of jobs, in an SQLite file in the log directory. */
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import * as v from "valibot";
import { DISK_STUCK, isDiskFull, JobError } from "./errors.ts";
import type { JobEvent } from "./model/events.ts";
import { hasEnded, type JobRecord, type JobState } from "./model/record.ts";
import type { UidRange } from "./model/owner_uids.ts";
import { DATABASE_FILE, openDatabase, reading } from "./store/database.ts";
import { askDisk, DiskWatch } from "./store/disk_watch.ts";
import { Journal } from "./store/journal.ts";
import { RecordReader } from "./store/record_reader.ts";
import { Reserve } from "./store/reserve.ts";
import { COLUMNS, ROW, storedText } from "./store/stored_record.ts";
import { WalSync } from "./store/wal_sync.ts";

/** A job that has ended, as retention sees it. */
export interface EndedJob {
  readonly id: string;
  readonly endedAtMs: number;
  /** What its output takes on disk. */
  readonly outputBytes: number;
}

/** Which jobs {@linkcode JobStore.scan} is to find. */
export interface JobFilter {
  readonly activeOnly: boolean;
  /** Empty: all. */
  readonly states: readonly JobState["kind"][];
  /** Undefined: all owners'. */
  readonly owner: string | undefined;
  /** All of them; the names hold no quotes. */
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAfterMs: number;
  /** Whether only jobs are meant that have ended otherwise than with exit code 0. */
  readonly failedOnly?: boolean;
  /** Undefined: jobs of any queue, and of none. */
  readonly queue?: string | undefined;
}

/** A job's place in the order of all jobs. */
export interface JobCursor {
  readonly createdAtMs: number;
  readonly id: string;
}

/** A job that a search has found. */
export interface FoundJob {
  readonly record: JobRecord;
  readonly cursor: JobCursor;
  /** About the size of the record. */
  readonly bytes: number;
}

/** Jobs of one name that are read to find one whose record is whole. */
const MAX_NAMESAKES = 20;

/** An integer as SQLite has it; one that no number can hold becomes the nearest that can. */
const INTEGER = v.pipe(
  v.bigint(),
  v.transform((value) =>
    Math.max(Math.min(Number(value), Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER)
  ),
);

const SCAN_ROW = v.object({ id: v.string(), created_at_ms: INTEGER });

const ENDED_ROW = v.object({
  id: v.string(),
  ended_at_ms: INTEGER,
  output_bytes: INTEGER,
});

const UID_ROW = v.object({ uid: v.number() });

const TOTALS_ROW = v.object({ count: v.number(), outputBytes: v.number() });

const ID_ROW = v.object({ id: v.string() });

/**
 * The records of jobs. Each change is one transaction; a crash at any point leaves the file consistent.
 * A change survives the end of the server at once, and a power loss once {@linkcode JobStore.synced} has
 * settled. Changes are refused while the disk does not answer, where that is watched.
 */
export class JobStore {
  readonly #folder: string;
  readonly #database: DatabaseSync;
  readonly #disk: WalSync;
  readonly #reserve: Reserve;
  readonly #records = new RecordReader();
  /** What has happened to jobs. */
  readonly journal: Journal;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #select: StatementSync;
  readonly #selectKey: StatementSync;
  readonly #setFirstOffset: StatementSync;
  readonly #delete: StatementSync;
  #watch: DiskWatch | undefined;

  /**
   * Opens or makes the file, and locks it for as long as this process lives.
   *
   * @param folder The log directory.
   * @throws {Error} When another server holds it, or it is not readable as a store of this version.
   */
  constructor(folder: string) {
    this.#folder = folder;
    this.#database = openDatabase(folder);
    this.#disk = new WalSync(join(folder, `${DATABASE_FILE}-wal`));
    this.#reserve = new Reserve(join(folder, `${DATABASE_FILE}-reserve`));
    this.journal = new Journal(this.#database);
    const sql = (text: string) => this.#statement(text);
    this.#insert = sql(
      "INSERT INTO jobs (id, owner, idempotency_key, active, ended_at_ms, first_offset, record, " +
        "created_at_ms, title, state, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#update = sql(
      "UPDATE jobs SET active = ?, ended_at_ms = ?, output_bytes = ?, record = ?, state = ? WHERE id = ?",
    );
    this.#select = sql(`SELECT ${COLUMNS} FROM jobs WHERE id = ?`);
    this.#selectKey = sql(
      `SELECT ${COLUMNS} FROM jobs WHERE owner = ? AND idempotency_key = ?`,
    );
    this.#setFirstOffset = sql("UPDATE jobs SET first_offset = ? WHERE id = ?");
    this.#delete = sql("DELETE FROM jobs WHERE id = ?");
  }

  /** Watches whether the disk answers, from now on. @param watch Tests have one of their own. */
  watchDisk(watch: DiskWatch = new DiskWatch(() => askDisk(this.#folder))): void {
    this.#watch = watch;
  }

  /** @throws {JobError} "unavailable" while the disk does not answer. Every change begins with this. */
  requireDisk(): void {
    if (this.#watch?.isStuck === true) throw new JobError("unavailable", DISK_STUCK);
  }

  /**
   * Adds a record.
   *
   * @throws When the id or the owner's idempotency key is taken, the disk full, or a number of the record
   * one that could not be read again.
   */
  insert(record: JobRecord): void {
    this.requireDisk();
    const { id, owner, idempotencyKey, firstOffset } = record;
    this.#insert.run(
      id,
      owner,
      idempotencyKey === "" ? null : idempotencyKey,
      hasEnded(record.state) ? 0 : 1,
      endedAtMs(record.state),
      safe(firstOffset),
      storedText(record),
      safe(record.createdAtMs),
      record.settings?.title || null,
      record.state.kind,
      labelsOf(record),
    );
  }

  /** Adds a record in the place of a damaged one; its idempotency key is left out where it is taken. */
  replace(record: JobRecord): void {
    const { owner, idempotencyKey } = record;
    this.delete(record.id);
    const isTaken = idempotencyKey !== "" && this.hasKey(owner, idempotencyKey);
    this.insert(isTaken ? { ...record, idempotencyKey: "" } : record);
  }

  /**
   * Stores a record's new state.
   *
   * @param outputBytes What the output takes on disk, of a job that has ended.
   * @param events What the change tells.
   */
  update(record: JobRecord, outputBytes = 0, events: readonly JobEvent[] = []): void {
    const { id, state } = record;
    const active = hasEnded(state) ? 0 : 1;
    const bytes = safe(outputBytes);
    const endedMs = endedAtMs(state);
    const text = storedText(record);
    this.#insist(() => this.#update.run(active, endedMs, bytes, text, state.kind, id), events);
  }

  /** @returns The record with this id, if there is one. */
  get(id: string): JobRecord | undefined {
    return this.#records.read(reading(() => this.#select.get(id)));
  }

  /** @returns The record of the job that an owner started with this idempotency key. */
  getByKey(owner: string, idempotencyKey: string): JobRecord | undefined {
    return this.#records.read(reading(() => this.#selectKey.get(owner, idempotencyKey)));
  }

  /** Whether an owner's idempotency key is on record, if only in a damaged one. */
  hasKey(owner: string, idempotencyKey: string): boolean {
    return reading(() => this.#selectKey.get(owner, idempotencyKey)) !== undefined;
  }

  /**
   * @param exceptOwners Whose jobs are not looked at.
   * @returns The newest job with this name that has begun.
   */
  getByTitle(title: string, exceptOwners: readonly string[] = []): JobRecord | undefined {
    return this.#newestWhole(
      `SELECT ${COLUMNS} FROM jobs WHERE title = ? AND ${HAS_BEGUN} AND ` +
        "owner NOT IN (SELECT value FROM json_each(?)) ORDER BY created_at_ms DESC LIMIT ?",
      [title, JSON.stringify(exceptOwners), MAX_NAMESAKES],
    );
  }

  /** @returns An owner's newest job with this name that has begun. */
  getByTitleOf(owner: string, title: string): JobRecord | undefined {
    return this.#newestWhole(
      `SELECT ${COLUMNS} FROM jobs WHERE title = ? AND ${HAS_BEGUN} AND owner = ? ` +
        "ORDER BY created_at_ms DESC LIMIT ?",
      [title, owner, MAX_NAMESAKES],
    );
  }

  /** The first row whose record is whole. */
  #newestWhole(sql: string, values: readonly (string | number)[]): JobRecord | undefined {
    for (const row of reading(() => this.#statement(sql).all(...values))) {
      const record = this.#records.read(row);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  /** @returns At most `count` jobs whose id begins with a text. */
  withPrefix(prefix: string, count: number): JobRecord[] {
    const rows = reading(() =>
      this.#statement(`SELECT ${COLUMNS} FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`)
        .all(prefix, `${prefix}~`, count)
    );
    return this.#records.readAll(rows);
  }

  /**
   * Looks through some of the jobs, the newest first.
   *
   * @param cursor The job before the first one; undefined: begin with the newest.
   * @param scanCount How many jobs are looked at, whether they match or not.
   * @returns Those that match, each with its cursor, read as they are taken; and the last cursor looked
   * at: undefined at the end.
   */
  scan(
    filter: JobFilter,
    { cursor, scanCount }: { cursor: JobCursor | undefined; scanCount: number },
  ): { found: Iterable<FoundJob>; last: JobCursor | undefined } {
    const before = cursor ?? { createdAtMs: Number.MAX_SAFE_INTEGER, id: "" };
    const { clauses, values } = clausesOf(filter);
    const index = filter.activeOnly
      ? "jobs INDEXED BY jobs_listed_active WHERE active = 1 AND"
      : "jobs INDEXED BY jobs_listed WHERE";
    const order = "ORDER BY created_at_ms DESC, id DESC";
    return reading(() => {
      const edge = this.#statement(
        `SELECT id, created_at_ms FROM ${index} (created_at_ms, id) < (?, ?) AND created_at_ms >= ? ` +
          `${order} LIMIT 1 OFFSET ?`,
      ).get(before.createdAtMs, before.id, filter.createdAfterMs, scanCount - 1);
      const last = edge === undefined ? undefined : cursorOf(v.parse(SCAN_ROW, edge));
      const until = last ?? { createdAtMs: filter.createdAfterMs, id: "" };
      const rows = this.#statement(
        `SELECT id, created_at_ms FROM ${index} (created_at_ms, id) < (?, ?) AND ` +
          `(created_at_ms, id) >= (?, ?) AND ${clauses} ${order}`,
      ).all(before.createdAtMs, before.id, until.createdAtMs, until.id, ...values);
      return { found: this.#read(v.parse(v.array(SCAN_ROW), rows).map(cursorOf)), last };
    });
  }

  *#read(cursors: readonly JobCursor[]): Generator<FoundJob> {
    for (const cursor of cursors) {
      const row = reading(() => this.#select.get(cursor.id));
      const record = this.#records.read(row);
      if (record !== undefined) yield { record, cursor, bytes: v.parse(ROW, row).record.length };
    }
  }

  /** Stores the first byte of a job's output that is kept; to be called before any is removed. */
  setFirstOffset(id: string, firstOffset: number): void {
    this.requireDisk();
    this.#setFirstOffset.run(safe(firstOffset), id);
  }

  /** @returns All jobs whose end is not on record. */
  active(): JobRecord[] {
    const rows = reading(() =>
      this.#statement(`SELECT ${COLUMNS} FROM jobs WHERE active = 1`).all()
    );
    return this.#records.readAll(rows);
  }

  /** @returns The ids of jobs whose end is not on record, and whose record is damaged. */
  damagedActiveIds(): string[] {
    const rows = reading(() => this.#statement("SELECT id FROM jobs WHERE active = 1").all());
    const whole = new Set(this.active().map(({ id }) => id));
    return v.parse(v.array(ID_ROW), rows).map(({ id }) => id).filter((id) => !whole.has(id));
  }

  /** @returns Those of some ids that no record has, not even a damaged one. */
  withoutRecord(ids: readonly string[]): string[] {
    const rows = reading(() =>
      this.#statement(
        "SELECT value AS id FROM json_each(?) WHERE value NOT IN (SELECT id FROM jobs)",
      )
        .all(JSON.stringify(ids))
    );
    return v.parse(v.array(ID_ROW), rows).map(({ id }) => id);
  }

  /** @returns How many jobs have ended and are on record, and what their output takes on disk. */
  endedTotals(): { count: number; outputBytes: number } {
    const row = reading(() =>
      this.#database.prepare(
        `SELECT count(*) AS count, total(${OUTPUT_BYTES}) AS outputBytes FROM jobs WHERE ${IS_ENDED}`,
      ).get()
    );
    return v.parse(TOTALS_ROW, row);
  }

  /** @returns Jobs that have ended, the oldest first. */
  oldestEnded(count: number): EndedJob[] {
    const rows = reading(() =>
      this.#statement(
        `SELECT id, ended_at_ms, ${OUTPUT_BYTES} AS output_bytes FROM jobs WHERE ${IS_ENDED} ` +
          "ORDER BY ended_at_ms LIMIT ?",
      ).all(count)
    );
    return v.parse(v.array(ENDED_ROW), rows).map((row) => ({
      id: row.id,
      endedAtMs: row.ended_at_ms,
      outputBytes: row.output_bytes,
    }));
  }

  /**
   * Lets no owner be given a uid whose owner is not on record any more: files of it may be left. It has an
   * owner then whose name no certificate has.
   */
  withholdUid(uid: number): void {
    this.#database.prepare("INSERT OR IGNORE INTO owner_uids (owner, uid) VALUES (?, ?)")
      .run(`\0${uid}`, uid);
  }

  /**
   * The uid that an owner's jobs run as; an owner without one is given the next one, for ever. That is
   * to be on the disk before it is used.
   *
   * @returns Undefined: all uids of the range are given to others. `isNew`: it was given just now.
   */
  uidOf(owner: string, { first, last }: UidRange): { uid: number; isNew: boolean } | undefined {
    const known = reading(() =>
      this.#database.prepare("SELECT uid FROM owner_uids WHERE owner = ?").get(owner)
    );
    if (known !== undefined) return { uid: v.parse(UID_ROW, known).uid, isNew: false };
    const next = reading(() =>
      this.#database.prepare(
        "SELECT coalesce(max(uid) + 1, ?) AS uid FROM owner_uids WHERE uid BETWEEN ? AND ?",
      ).get(first, first, last)
    );
    const { uid } = v.parse(UID_ROW, next);
    if (uid > last) return undefined;
    this.requireDisk();
    this.#database.prepare("INSERT INTO owner_uids (owner, uid) VALUES (?, ?)").run(owner, uid);
    return { uid, isNew: true };
  }

  /** Deletes a job's record. @param events What the removal tells. */
  delete(id: string, events: readonly JobEvent[] = []): void {
    this.#insist(() => this.#delete.run(id), events);
  }

  /**
   * Settles when all that has been stored before is on the disk; events are told then.
   *
   * @throws When the disk fails.
   */
  async synced(): Promise<void> {
    const { added } = this.journal;
    await this.#disk.sync();
    this.journal.publish(added);
  }

  /**
   * Does a change that a full disk must not refuse: ends and removals. In the room that was kept, what
   * the write-ahead log holds is written into the file, and the log begun anew.
   */
  #insist(change: () => void, events: readonly JobEvent[]): void {
    this.requireDisk();
    try {
      this.#commit(change, events);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#reserve.release();
      try {
        this.#database.exec("PRAGMA wal_checkpoint(RESTART)");
        this.#commit(change, events);
      } finally {
        this.#reserve.take();
      }
    }
  }

  /** A change and what it tells, both or neither. */
  #commit(change: () => void, events: readonly JobEvent[]): void {
    if (events.length === 0) return change();
    this.#database.exec("BEGIN");
    try {
      change();
      const numbers = events.map((event) => this.journal.add(event));
      this.#database.exec("COMMIT");
      this.journal.committed(Math.max(...numbers));
    } catch (error) {
      // A full disk may have ended the transaction already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Reads integers as bigint, since those that no number can hold are an error otherwise. */
  #statement(text: string): StatementSync {
    const statement = this.#database.prepare(text);
    statement.setReadBigInts(true);
    return statement;
  }

  /** Closes the file, and releases its lock; the end of the process does that where the disk is stuck. */
  close(): void {
    this.#watch?.close();
    if (this.#watch?.isStuck === true) return;
    this.#database.close();
    this.#disk.close();
  }
}

/** The SQL condition that is true of a job that is no longer being started. */
const HAS_BEGUN = "state <> 'starting'";

/** The SQL condition that is true of a job that has ended: without a time it is a damaged row. */
const IS_ENDED = "active = 0 AND ended_at_ms IS NOT NULL";

/** What the output of a job takes on disk; what no disk can hold counts as nothing. */
const OUTPUT_BYTES =
  `CASE WHEN output_bytes BETWEEN 0 AND ${Number.MAX_SAFE_INTEGER} THEN output_bytes ELSE 0 END`;

/**
 * The SQL condition that is true of a job that has failed. The exit code is in the record alone, which is
 * read of jobs that have exited; a damaged one is left out when it is read.
 */
const HAS_FAILED = "CASE WHEN state IN ('lost', 'never-ran') THEN 1 WHEN state = 'exited' AND " +
  "json_valid(record) THEN json_extract(record, '$.state.exitCode') <> 0 ELSE 0 END";

/** The SQL condition that is true of a job of a queue, which is in the record alone, too. */
const IS_OF_QUEUE =
  "CASE WHEN json_valid(record) THEN json_extract(record, '$.settings.queue.queue') = ? ELSE 0 END";

/** @throws {RangeError} For a number that the store would not read back as it was. */
function safe(number: number): number {
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`${number} cannot be stored in a record of a job`);
}

function clausesOf(
  { states, owner, labels, failedOnly = false, queue }: JobFilter,
): { clauses: string; values: string[] } {
  const clauses = [HAS_BEGUN];
  const values: string[] = [];
  if (states.length > 0) {
    clauses.push(`state IN (${states.map(() => "?").join(", ")})`);
    values.push(...states);
  }
  if (owner !== undefined) {
    clauses.push("owner = ?");
    values.push(owner);
  }
  for (const [name, value] of Object.entries(labels)) {
    clauses.push("json_extract(labels, ?) = ?");
    values.push(`$."${name}"`, value);
  }
  // The last ones: the others need no record.
  if (failedOnly) clauses.push(HAS_FAILED);
  if (queue !== undefined) {
    clauses.push(IS_OF_QUEUE);
    values.push(queue);
  }
  return { clauses: clauses.join(" AND "), values };
}

function cursorOf({ created_at_ms: createdAtMs, id }: v.InferOutput<typeof SCAN_ROW>): JobCursor {
  return { createdAtMs, id };
}

function labelsOf({ settings }: JobRecord): string | null {
  const labels = JSON.stringify(settings?.labels ?? {});
  return labels === "{}" ? null : labels;
}

function endedAtMs(state: JobState): number | null {
  return hasEnded(state) ? safe(state.endedAtMs) : null;
}
