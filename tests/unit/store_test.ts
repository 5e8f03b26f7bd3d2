import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { JobRecord } from "../../lib/model/record.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { type JobCursor, JobStore } from "../../lib/store.ts";
import { storedText } from "../../lib/store/stored_record.ts";
import { DiskWatch } from "../../lib/store/disk_watch.ts";
import { CapturedLog } from "../support/captured_log.ts";

Deno.test("JobStore: records and their changes survive the store", async () => {
  await using folder = await temporaryFolder();
  const record = newRecord({ idempotencyKey: "key" });
  const running: JobRecord = { ...record, state: { kind: "running", pid: 7, startedAtMs: 5 } };
  {
    using store = open(folder.path);
    store.insert(record);
    store.update(running);
    store.setFirstOffset(record.id, 4096);
  }
  using store = open(folder.path);
  assert.deepEqual(store.get(record.id), { ...running, firstOffset: 4096 });
  assert.deepEqual(store.getByKey("alice", "key")?.id, record.id);
  assert.deepEqual(store.active().map(({ id }) => id), [record.id]);
  assert.deepEqual(store.endedTotals(), { count: 0, outputBytes: 0 });
});

Deno.test("JobStore: only root may read the records, also those of an earlier server", async () => {
  await using folder = await temporaryFolder();
  using log = new CapturedLog();
  const files = ["jobs.db", "jobs.db-wal"].map((name) => join(folder.path, name));
  const assertPrivate = () => {
    for (const file of files) assert.equal((Deno.statSync(file).mode ?? 0) & 0o777, 0o600, file);
  };
  {
    using store = open(folder.path);
    store.insert(newRecord());
    assertPrivate();
  }
  assert.deepEqual(log.messages(), []);
  // As after a crash: both are there.
  for (const file of files) {
    Deno.openSync(file, { write: true, create: true }).close();
    Deno.chmodSync(file, 0o644);
  }
  using store = open(folder.path);
  store.insert(newRecord());
  assertPrivate();
  assert.deepEqual(log.messages(), ["others could read the records of jobs; now only root can"]);
});

Deno.test("JobStore: a record of a server up to 0.1.0 is read with the present names", async () => {
  await using folder = await temporaryFolder();
  const record = newRecord();
  const { populatedFile: census, ...rest } = record.handle as Record<string, unknown>;
  {
    using store = open(folder.path);
    store.insert({ ...record, handle: { ...rest, census } });
  }
  using store = open(folder.path);
  assert.deepEqual(store.get(record.id), record);
});

Deno.test("JobStore: ended jobs are listed the oldest first, and counted", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  for (const endedAtMs of [30, 10, 20]) {
    const record = newRecord();
    store.insert(record);
    const state = { kind: "lost", pid: 1, startedAtMs: 1, reason: "x", endedAtMs } as const;
    store.update({ ...record, state }, endedAtMs * 10);
  }
  assert.deepEqual(store.oldestEnded(2).map(({ endedAtMs }) => endedAtMs), [10, 20]);
  assert.deepEqual(store.endedTotals(), { count: 3, outputBytes: 600 });
  assert.deepEqual(store.active(), []);
  const [oldest] = store.oldestEnded(1);
  assert(oldest);
  store.delete(oldest.id);
  assert.equal(store.get(oldest.id), undefined);
  assert.equal(store.endedTotals().count, 2);
});

Deno.test("JobStore: an id, and an owner's key, are taken once; keys of others and no key are free", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const record = newRecord({ idempotencyKey: "key" });
  store.insert(record);
  assert.throws(() => store.insert(newRecord({ id: record.id })));
  assert.throws(() => store.insert(newRecord({ idempotencyKey: "key" })));
  store.insert(newRecord({ idempotencyKey: "key", owner: "bob" }));
  store.insert(newRecord());
  store.insert(newRecord());
  assert.equal(store.getByKey("carol", "key"), undefined);
  assert.equal(store.get("no such id"), undefined);
});

Deno.test("JobStore: a second one on the same folder is refused, until the first is closed", async () => {
  await using folder = await temporaryFolder();
  {
    using _first = open(folder.path);
    assert.throws(() => new JobStore(folder.path), /another worker-server uses/);
  }
  open(folder.path)[Symbol.dispose]();
});

Deno.test("JobStore: a file of the first version is migrated, and its jobs are listed", async () => {
  await using folder = await temporaryFolder();
  const record = newRecord({
    createdAtMs: 77,
    state: { kind: "running", pid: 1, startedAtMs: 1 },
    settings: { ...DEFAULT_SETTINGS, labels: { team: "one" } },
  });
  open(folder.path)[Symbol.dispose]();
  const database = new DatabaseSync(join(folder.path, "jobs.db"));
  database.exec(
    "DROP TABLE owner_uids; DROP TABLE events; DROP INDEX jobs_listed; DROP INDEX jobs_listed_active; DROP INDEX jobs_title; " +
      "CREATE INDEX jobs_active ON jobs (active) WHERE active = 1; " +
      ["created_at_ms", "title", "state", "labels"]
        .map((column) => `ALTER TABLE jobs DROP COLUMN ${column}; `).join("") +
      "PRAGMA user_version = 1",
  );
  database.prepare("INSERT INTO jobs VALUES (?, 'alice', NULL, 1, NULL, NULL, 0, ?)")
    .run(record.id, storedText(record));
  for (const [id, text] of [["a", "{"], ["b", '{"createdAtMs": "soon"}'], ["c", "{}"]] as const) {
    database.prepare("INSERT INTO jobs VALUES (?, 'alice', NULL, 0, NULL, NULL, 0, ?)").run(
      id,
      text,
    );
  }
  database.close();
  using _log = new CapturedLog();
  using store = open(folder.path);
  assert.deepEqual(store.get(record.id), record);
  // What is on record of the past is told.
  const { events } = store.journal.page(0, 10);
  assert.deepEqual(events.map(({ kind, jobId, timeMs, by }) => [kind, jobId, timeMs, by]), [
    ["started", record.id, 77, "alice"],
  ]);
  for (const filter of [ANY, { ...ANY, labels: { team: "one" } }, { ...ANY, activeOnly: true }]) {
    const { found, last } = store.scan(filter, { cursor: undefined, scanCount: 10 });
    const bytes = storedText(record).length;
    assert.deepEqual([...found], [{ record, cursor: { createdAtMs: 77, id: record.id }, bytes }]);
    assert.equal(last, undefined);
  }
});

Deno.test("JobStore: each owner keeps a uid of its own, which nobody else is given", async () => {
  await using folder = await temporaryFolder();
  const range = { first: 700_000, last: 700_001 };
  {
    using store = open(folder.path);
    assert.deepEqual(store.uidOf("alice", range), { uid: 700_000, isNew: true });
    assert.deepEqual(store.uidOf("bob", range), { uid: 700_001, isNew: true });
    assert.deepEqual(store.uidOf("alice", range), { uid: 700_000, isNew: false });
    assert.equal(store.uidOf("carol", range), undefined);
  }
  using store = open(folder.path);
  assert.equal(store.uidOf("carol", range), undefined);
  const larger = { first: 699_999, last: 700_002 };
  assert.deepEqual(store.uidOf("carol", larger), { uid: 700_002, isNew: true });
  const other = { first: 800_000, last: 800_000 };
  assert.deepEqual(store.uidOf("bob", other), { uid: 700_001, isNew: false });
  assert.deepEqual(store.uidOf("dave", other), { uid: 800_000, isNew: true });
});

Deno.test("JobStore: a scan stops where it is told to, and goes on from there", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const state = { kind: "running", pid: 1, startedAtMs: 1 } as const;
  // The same millisecond for all: the ids settle the order.
  for (let index = 0; index < 5; index++) store.insert(newRecord({ state, createdAtMs: 5 }));
  store.insert(newRecord({ createdAtMs: 9 }));
  const seen: string[] = [];
  let cursor: JobCursor | undefined;
  do {
    const { found, last } = store.scan(ANY, { cursor, scanCount: 2 });
    seen.push(...[...found].map(({ record }) => record.id));
    cursor = last;
  } while (cursor !== undefined);
  assert.deepEqual(seen, seen.toSorted().toReversed());
  assert.equal(seen.length, 5, "a job that is only being started is not listed");
});

Deno.test("JobStore: a name is the newest job's, and beginnings of ids are found", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const settings = { ...DEFAULT_SETTINGS, title: "nightly" };
  const state = { kind: "running", pid: 1, startedAtMs: 1 } as const;
  const ids = [1, 3, 2].map((createdAtMs) => {
    const record = newRecord({ createdAtMs, settings, state });
    store.insert(record);
    return record.id;
  });
  assert.equal(store.getByTitle("nightly")?.id, ids[1]);
  assert.equal(store.getByTitle("night"), undefined);
  assert.equal(store.getByTitle(""), undefined);
  assert.deepEqual(store.withPrefix(ids[0]?.slice(0, 12) ?? "", 9).map(({ id }) => id), [ids[0]]);
  assert.deepEqual(store.withPrefix("zz", 9), []);
  assert.equal(store.withPrefix("", 2).length, 2);
});

Deno.test("JobStore: the beginning of an id finds the ids that begin so, and none beside them", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const rest = "-90f3-4c6a-ae2f-58d3f827b219";
  const ids = ["aaaa0000", "aaab0000", "aaabffff", "aaac0000"].map((first) => `${first}${rest}`);
  for (const id of ids) store.insert(newRecord({ id }));
  const find = (prefix: string) => store.withPrefix(prefix, 9).map(({ id }) => id);
  assert.deepEqual(find("aaab"), ids.slice(1, 3));
  assert.deepEqual(find("aaabf"), ids.slice(2, 3));
  assert.deepEqual(find(ids[3]!), ids.slice(3));
  assert.deepEqual(find("aaad"), []);
});

Deno.test("JobStore: a scan goes back to the time asked for, that millisecond included", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const state = { kind: "running", pid: 1, startedAtMs: 1 } as const;
  for (const createdAtMs of [1, 2, 3]) store.insert(newRecord({ state, createdAtMs }));
  const find = (createdAfterMs: number, cursor?: JobCursor) =>
    [...store.scan({ ...ANY, createdAfterMs }, { cursor, scanCount: 9 }).found]
      .map(({ record }) => record.createdAtMs);
  assert.deepEqual(find(2), [3, 2]);
  assert.deepEqual(find(3), [3]);
  assert.deepEqual(find(4), []);
  assert.deepEqual(find(0, { createdAtMs: 3, id: "" }), [2, 1]);
});

Deno.test("JobStore: a name is looked for among the owners that are not left out", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const settings = { ...DEFAULT_SETTINGS, title: "nightly" };
  const state = { kind: "running", pid: 1, startedAtMs: 1 } as const;
  for (const [owner, createdAtMs] of [["alice", 1], ["bo'b", 2], ["carol", 3]] as const) {
    store.insert(newRecord({ owner, createdAtMs, settings, state }));
  }
  store.insert(newRecord({ owner: "alice", createdAtMs: 4, settings }));
  assert.equal(store.getByTitle("nightly")?.owner, "carol", "a start is not a job yet");
  assert.equal(store.getByTitle("nightly", ["carol"])?.owner, "bo'b");
  assert.equal(store.getByTitle("nightly", ["carol", "bo'b"])?.owner, "alice");
  assert.equal(store.getByTitle("nightly", ["alice", "carol", "bo'b"]), undefined);
});

Deno.test("JobStore: a damaged record is passed over, logged and left, wherever it is found", async () => {
  await using folder = await temporaryFolder();
  const state = { kind: "running", pid: 1, startedAtMs: 1 } as const;
  const settings = { ...DEFAULT_SETTINGS, title: "nightly" };
  const damaged = newRecord({ idempotencyKey: "k", settings, state });
  const whole = newRecord({ state });
  {
    using store = open(folder.path);
    store.insert(damaged);
    store.insert(whole);
  }
  const database = new DatabaseSync(join(folder.path, "jobs.db"));
  database.exec(
    `UPDATE jobs SET record = json_set(record, '$.owner', 1) WHERE id = '${damaged.id}'`,
  );
  database.close();
  using log = new CapturedLog();
  using store = open(folder.path);
  assert.equal(store.get(damaged.id), undefined);
  assert.equal(store.getByKey("alice", "k"), undefined);
  assert.equal(store.getByTitle("nightly"), undefined);
  assert.deepEqual(store.withPrefix(damaged.id, 9), []);
  assert.deepEqual(store.active(), [whole]);
  const { found } = store.scan(ANY, { cursor: undefined, scanCount: 9 });
  assert.deepEqual([...found].map(({ record }) => record), [whole]);
  assert.deepEqual(log.messages("error"), [
    "a job's record is damaged, and passed over; its folder is kept",
  ]);
  assert(store.hasKey("alice", "k"));
  assert(!store.hasKey("bob", "k"));
  assert.throws(() => store.insert(damaged), "it is not there any more");
});

Deno.test("JobStore: a database that is damaged while it is open is an error that names the file", async () => {
  await using folder = await temporaryFolder();
  {
    using store = open(folder.path);
    for (let index = 0; index < 200; index++) store.insert(newRecord());
  }
  using store = open(folder.path);
  using file = Deno.openSync(join(folder.path, "jobs.db"), { write: true });
  file.truncateSync(8192);
  const message =
    /cannot read the records of jobs in jobs\.db: .*; stop the server and put a copy of it back/;
  assert.throws(() => store.active(), message);
  assert.throws(() => store.oldestEnded(9), message);
  assert.throws(() => store.endedTotals(), message);
});

/** What a damaged disk, or a hand that edits, leaves in a row of a job that runs or has ended. */
const DAMAGED_ROWS = [
  "first_offset = 9223372036854775807",
  "first_offset = -9223372036854775808",
  "created_at_ms = 9223372036854775807",
  "created_at_ms = -9223372036854775808",
  "ended_at_ms = 9223372036854775807",
  "ended_at_ms = -9223372036854775808",
  "ended_at_ms = NULL",
  "output_bytes = 9223372036854775807",
  "output_bytes = -9223372036854775808",
  "output_bytes = NULL",
  "active = 9223372036854775807",
  "record = ''",
  "record = '{'",
  "record = cast(x'ff00fe' AS TEXT)",
  "record = substr(record, 1, length(record) - 1)",
  "record = json_set(record, '$.createdAtMs', 9223372036854775807)",
  "record = json_set(record, '$.state.startedAtMs', 9223372036854775807)",
  "record = json_set(record, '$.limits.memoryBytes', 9223372036854775807)",
  "owner = cast(x'ff' AS TEXT)",
  "title = cast(x'ff' AS TEXT)",
  "id = 'no id'",
  "id = cast(x'ff00' AS TEXT)",
];

for (const damage of DAMAGED_ROWS) {
  Deno.test(`JobStore: all other rows are read where one has ${damage}`, async () => {
    await using folder = await temporaryFolder();
    const settings = { ...DEFAULT_SETTINGS, title: "nightly" };
    const begun = { pid: 1, startedAtMs: 1 };
    const running = { kind: "running", ...begun } as const;
    const lost = { kind: "lost", ...begun, reason: "x", endedAtMs: 5 } as const;
    const whole = [
      newRecord({ settings, state: running }),
      newRecord({ settings, state: lost, idempotencyKey: "k" }),
    ];
    const damaged = [
      newRecord({ settings, state: running, createdAtMs: 2 }),
      newRecord({ settings, state: lost, createdAtMs: 2 }),
    ];
    {
      using store = open(folder.path);
      for (const record of [...whole, ...damaged]) store.insert(record);
      store.update(whole[1]!, 4096);
      store.update(damaged[1]!, 4096);
    }
    const database = new DatabaseSync(join(folder.path, "jobs.db"));
    for (const { id } of damaged) {
      const other = damage.startsWith("id") && id === damaged[1]!.id ? `${damage} || '2'` : damage;
      database.exec(`UPDATE OR REPLACE jobs SET ${other} WHERE id = '${id}'`);
    }
    database.close();
    using _log = new CapturedLog();
    using store = open(folder.path);
    for (const record of whole) assert.deepEqual(store.get(record.id), record);
    assert.deepEqual(store.getByKey("alice", "k"), whole[1]);
    assert(store.active().some(({ id }) => id === whole[0]!.id));
    assert(store.oldestEnded(9).some(({ id }) => id === whole[1]!.id));
    const { outputBytes } = store.endedTotals();
    assert(outputBytes === 4096 || outputBytes === 8192, String(outputBytes));
    const scan = (filter = {}) =>
      [...store.scan({ ...ANY, ...filter }, { cursor: undefined, scanCount: 9 }).found]
        .map(({ record }) => record.id);
    for (const { id } of whole) assert(scan().includes(id));
    assert(scan({ states: ["lost"] }).includes(whole[1]!.id));
    assert(scan({ activeOnly: true }).includes(whole[0]!.id));
    assert(store.getByTitle("nightly") !== undefined);
    assert.deepEqual(store.withoutRecord([whole[0]!.id]), []);
  });
}

Deno.test("JobStore: a list tells of a record that is not JSON", async () => {
  await using folder = await temporaryFolder();
  const record = newRecord({ state: { kind: "running", pid: 1, startedAtMs: 1 } });
  {
    using store = open(folder.path);
    store.insert(record);
  }
  const database = new DatabaseSync(join(folder.path, "jobs.db"));
  database.exec("UPDATE jobs SET record = '{'");
  database.close();
  using log = new CapturedLog();
  using later = open(folder.path);
  const { found } = later.scan(ANY, { cursor: undefined, scanCount: 9 });
  assert.deepEqual([...found], []);
  assert.match(JSON.stringify(log.entries), new RegExp(record.id));
});

Deno.test("JobStore: a number that could not be read again is refused, and nothing is stored", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const record = newRecord();
  for (const number of [2 ** 53, 2 ** 62, -1, 0.5, NaN, Infinity]) {
    const refusal = /cannot be stored in a record of a job/;
    assert.throws(() => store.insert(newRecord({ firstOffset: number })), refusal);
    assert.throws(() => store.insert(newRecord({ createdAtMs: number })), refusal);
    store.insert(record);
    assert.throws(() => store.setFirstOffset(record.id, number), refusal);
    assert.throws(() => store.update(record, number), refusal);
    const state = { kind: "lost", pid: 1, startedAtMs: 1, reason: "", endedAtMs: number } as const;
    assert.throws(() => store.update({ ...record, state }), refusal);
    assert.deepEqual(store.get(record.id), record);
    store.delete(record.id);
  }
  assert.equal(store.get(record.id), undefined);
});

Deno.test("JobStore: while the disk does not answer, changes are refused at once, and records are read", async () => {
  await using folder = await temporaryFolder();
  using store = open(folder.path);
  const record = newRecord();
  store.insert(record);
  using _log = new CapturedLog();
  const watch = new DiskWatch(() => Promise.resolve());
  store.watchDisk(watch);
  watch.isStuck = true;
  const changes = [
    () => store.insert(newRecord()),
    () => store.update(record),
    () => store.setFirstOffset(record.id, 1),
    () => store.uidOf("alice", { first: 700_000, last: 700_009 }),
    () => store.delete(record.id),
    () => store.replace(record),
  ];
  for (const change of changes) assert.throws(change, /does not answer: it is frozen or stuck/);
  assert.deepEqual(store.get(record.id), record);
  watch.isStuck = false;
  store.delete(record.id);
});

Deno.test("JobStore: of many ids, those without a record, also of strange texts; a damaged record is one", async () => {
  await using folder = await temporaryFolder();
  const records = [newRecord(), newRecord()];
  {
    using store = open(folder.path);
    for (const record of records) store.insert(record);
  }
  const database = new DatabaseSync(join(folder.path, "jobs.db"));
  database.exec(`UPDATE jobs SET record = '{' WHERE id = '${records[0]!.id}'`);
  database.close();
  using store = open(folder.path);
  const others = [crypto.randomUUID(), "lost+found", "a'b\"c", "é\ufffd", ""];
  const ids = [...records.map(({ id }) => id), ...others];
  assert.deepEqual(store.withoutRecord(ids).sort(), others.sort());
  assert.deepEqual(store.withoutRecord([]), []);
});

const ANY = {
  activeOnly: false,
  states: [],
  owner: undefined,
  labels: {},
  createdAfterMs: 0,
};

Deno.test("JobStore: what a newer version wrote is refused, and left as it is", async () => {
  await using folder = await temporaryFolder();
  open(folder.path)[Symbol.dispose]();
  const database = new DatabaseSync(join(folder.path, "jobs.db"));
  database.exec("PRAGMA user_version = 99");
  database.close();
  assert.throws(() => new JobStore(folder.path), /newer version/);
});

Deno.test("JobStore: a file that is not a store, or a damaged one, is an error that names it", async () => {
  using _log = new CapturedLog();
  for (const text of ["junk".repeat(2000), "SQLite format 3\0".padEnd(5000, "x")]) {
    await using folder = await temporaryFolder();
    await Deno.writeTextFile(join(folder.path, "jobs.db"), text);
    assert.throws(() => new JobStore(folder.path), /cannot open the records of jobs in .*jobs\.db/);
  }
  assert.throws(() => new JobStore("/nonexistent"), /cannot open the records/);
});

function newRecord(fields: Partial<JobRecord> = {}): JobRecord {
  return {
    id: crypto.randomUUID(),
    command: { name: "ls", args: ["/", "\u{1f600}\n'\""] },
    owner: "alice",
    idempotencyKey: "",
    createdAtMs: 1,
    limits: { cpuCores: 0.5 },
    handle: { groups: ["/g"], tracker: "/g", populatedFile: "/g/cgroup.events", counters: [] },
    state: { kind: "starting" },
    firstOffset: 0,
    ...fields,
  };
}

function open(folder: string): JobStore & Disposable {
  const store = new JobStore(folder);
  return Object.assign(store, { [Symbol.dispose]: () => store.close() });
}

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "job-worker-store-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
