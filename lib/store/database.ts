/** The SQLite database of records: opened, brought to the present schema, read. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as v from "valibot";
import { isOpen } from "../../common/file_modes.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** Where the records are, in the log directory. */
export const DATABASE_FILE = "jobs.db";

/**
 * The length of the write-ahead log, in pages of 4 KiB, at which SQLite writes it into the file (a
 * checkpoint). That blocks the server's only thread until the disk has answered, so it is rare; a page
 * that was changed often in between is written once.
 */
const CHECKPOINT_PAGES = 4000;

/** Grows by one with each change of the tables; a newer file is refused, an older one is migrated. */
const SCHEMA_VERSION = 5;

/** The migration from each version to the next one. */
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
  UPDATE jobs SET created_at_ms =
    CASE WHEN json_valid(record) THEN coalesce(CAST(record ->> '$.createdAtMs' AS INTEGER), 0) ELSE 0 END;
  CREATE INDEX jobs_created ON jobs (created_at_ms, id);
  CREATE INDEX jobs_created_active ON jobs (created_at_ms, id) WHERE active = 1;
  CREATE INDEX jobs_title ON jobs (title, created_at_ms) WHERE title IS NOT NULL;
`,
  // Rows are never deleted: files of a uid may outlive its owner's jobs.
  `
  CREATE TABLE owner_uids (owner TEXT PRIMARY KEY, uid INTEGER NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
`,
  // A search looks at an index only: to look into the records would take a hundred times as long.
  `
  ALTER TABLE jobs ADD COLUMN state TEXT NOT NULL DEFAULT '';
  ALTER TABLE jobs ADD COLUMN labels TEXT;  -- JSON; null: it has none
  UPDATE jobs SET state = coalesce(json_extract(record, '$.state.kind'), ''),
    labels = nullif(json_extract(record, '$.settings.labels'), '{}') WHERE json_valid(record);
  DROP INDEX jobs_active;
  DROP INDEX jobs_created;
  DROP INDEX jobs_created_active;
  DROP INDEX jobs_title;
  CREATE INDEX jobs_listed ON jobs (created_at_ms, id, owner, state, labels);
  CREATE INDEX jobs_listed_active ON jobs (created_at_ms, id, owner, state, labels) WHERE active = 1;
  CREATE INDEX jobs_title ON jobs (title, created_at_ms, owner, state) WHERE title IS NOT NULL;
`,
  // The first number is the time, so that a file that is made anew has greater ones than the one before it.
  `
  CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    job TEXT NOT NULL,
    owner TEXT NOT NULL,
    by TEXT NOT NULL,             -- who did it; empty: nobody
    removed TEXT                  -- of a removed job: its name and labels, as JSON
  ) STRICT;
  INSERT INTO events
    SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), 0, 'begin', '', '', '', NULL;
  INSERT INTO events (time_ms, kind, job, owner, by)
    SELECT * FROM (
      SELECT created_at_ms AS time_ms, 'started', id, owner, owner FROM jobs
        WHERE state IN ('running', 'stopping', 'exited', 'lost')
      UNION ALL
      SELECT ended_at_ms, 'ended', id, owner,
        CASE WHEN json_valid(record) THEN coalesce(record ->> '$.stoppedBy', '') ELSE '' END FROM jobs
        WHERE active = 0 AND ended_at_ms IS NOT NULL
    ) ORDER BY time_ms;
`,
];

/**
 * Opens or makes the file, brings it to the present schema, and locks it for this process.
 *
 * @param folder The log directory.
 * @throws {Error} When another process holds it, or it cannot be read as a store of this version.
 */
export function openDatabase(folder: string): DatabaseSync {
  const file = join(folder, DATABASE_FILE);
  let database: DatabaseSync | undefined;
  try {
    closeToOthers(file);
    database = new DatabaseSync(file);
    // The lock goes with the process, however it ends.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;");
    // NORMAL: a commit does not wait for the disk; WalSync does that for many at once.
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
        : `cannot open the records of jobs in ${file}: ${problem}; make it usable, or move it away: ` +
          "records are then made again from the jobs' folders",
      { cause: error },
    );
  }
}

/** Commands hold passwords: only root may read their records, and those that an earlier server made. */
const PRIVATE_MODE = 0o600;

/** SQLite's own files beside the database; it makes them with the database's mode. */
const COMPANIONS = ["", "-wal", "-shm", "-journal"];

function closeToOthers(file: string): void {
  // SQLite would make a file that everyone may read.
  Deno.openSync(file, { write: true, create: true, mode: PRIVATE_MODE }).close();
  const open = COMPANIONS.map((suffix) => `${file}${suffix}`).filter(isOpenFile);
  for (const path of open) Deno.chmodSync(path, PRIVATE_MODE);
  if (open.length > 0) {
    log.warn("others could read the records of jobs; now only root can", { file });
  }
}

function isOpenFile(path: string): boolean {
  try {
    const info = Deno.lstatSync(path);
    return info.isFile && isOpen(info);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const VERSION_ROW = v.object({ user_version: v.number() });

function prepareSchema(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA user_version").get();
  const { user_version: version } = v.parse(VERSION_ROW, row);
  if (version === SCHEMA_VERSION) return;
  if (version > SCHEMA_VERSION) {
    throw new Error("it was written by a newer version of worker-server");
  }
  const steps = SCHEMAS.slice(version).join("");
  database.exec(`BEGIN; ${steps} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`);
  // The file gets its first pages now: on a full disk it could not take what the write-ahead log holds.
  database.exec("PRAGMA wal_checkpoint(RESTART)");
}

/**
 * Reads from the database.
 *
 * @throws {Error} With the file's name and what to do, when it was damaged since it was opened.
 */
export function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(
      `cannot read the records of jobs in ${DATABASE_FILE}: ${
        messageOf(error)
      }; stop the server and put a copy of it back, or ` +
        "move it away: records are then made again from the jobs' folders",
      { cause: error },
    );
  }
}
