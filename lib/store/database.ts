/** The SQLite database of records: opened, brought to the present schema, read. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../errors.ts";

/** Where the records are, in the log directory. */
export const DATABASE_FILE = "jobs.db";

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

export function openDatabase(folder: string): DatabaseSync {
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
export function reading<T>(read: () => T): T {
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
