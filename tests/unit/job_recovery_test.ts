import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { folderNames } from "../../lib/logs/folder_names.ts";
import { findKeptPart } from "../../lib/logs/kept_part.ts";
import { exited } from "../support/fake_executor.ts";
import { JobHost, recordOf, requestOf, soon } from "../support/job_host.ts";

const TOLD = "records of jobs were lost, and are made again from the jobs' folders";
const NO_RECORD =
  "a folder of a job has no record, and none can be made: it is kept; end by hand what runs in " +
  "the job's control groups, then move the folder away";

/** A host whose server has ended, with one job that it had started. */
async function hostWithJob(): Promise<{ host: JobHost; id: string }> {
  const host = await JobHost.open();
  const request = requestOf({ title: "nightly", labels: { a: "b" } });
  const id = await host.start(request, { owner: "bob", idempotencyKey: "k" });
  return { host, id };
}

function lose(file: string): void {
  for (const suffix of ["", "-wal"]) {
    try {
      Deno.removeSync(`${file}${suffix}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function damage(file: string): void {
  const database = new DatabaseSync(file);
  database.exec("UPDATE jobs SET record = '{'");
  database.close();
}

Deno.test("recovery: where the records are lost, or damaged, a job that runs is adopted, and its end recorded", async () => {
  for (const harm of [lose, damage]) {
    const { host, id } = await hostWithJob();
    await using _host = host;
    const before = host.stored(id);
    host.crash(harm);
    host.executor.adoptions.set(id, {
      kind: "tracked",
      ...host.executor.begin(id, { pid: 8 }),
    });
    await host.serve();
    assert.deepEqual(host.activeIds, [id]);
    const { record } = await host.manager.query(id);
    assert.deepEqual(record, {
      ...before,
      state: { kind: "running", pid: 8, startedAtMs: before.createdAtMs },
    });
    assert.equal(host.manager.resolve("nightly"), id);
    assert.equal(
      await host.start(requestOf(before.settings), { owner: "bob", idempotencyKey: "k" }),
      id,
    );
    assert.deepEqual(host.log.messages("warn"), [TOLD]);
    await host.end(id, { exitCode: 3 });
    assert.equal(host.stored(id).state.kind, "exited");
  }
});

Deno.test("recovery: a job that has ended meanwhile, and one that is gone with its host, are on record", async () => {
  const { host, id } = await hostWithJob();
  await using _host = host;
  const gone = await host.start();
  host.crash(lose);
  host.executor.adoptions.set(id, {
    kind: "ended",
    begun: { pid: 8 },
    ending: exited({ exitCode: 4, endedAtMs: 90 }),
  });
  await host.serve();
  await soon("the ends", () => host.store.endedTotals().count === 2);
  const { state } = host.stored(id);
  assert(state.kind === "exited" && state.exitCode === 4 && state.pid === 8);
  assert.equal(host.stored(gone).state.kind, "lost");
});

Deno.test("recovery: a uid that an owner had is given to nobody else", async () => {
  await using host = await JobHost.open();
  const range = { first: 700_000, last: 700_009 };
  await host.start(requestOf({ user: "700001" }), { owner: "bob" });
  host.crash(lose);
  await host.serve();
  assert.deepEqual(host.store.uidOf("alice", range), { uid: 700_002, isNew: true });
});

Deno.test("recovery: records that are there stay as they are, and nothing is told", async () => {
  const { host, id } = await hostWithJob();
  await using _host = host;
  await host.end(id);
  const before = host.stored(id);
  host.crash();
  await host.serve();
  assert.deepEqual(host.stored(id), before);
  assert.deepEqual(host.log.messages("warn"), []);
});

Deno.test("recovery: a record of another job that has the idempotency key meanwhile keeps it", async () => {
  const { host, id } = await hostWithJob();
  await using _host = host;
  host.crash(lose);
  const other = recordOf({ kind: "lost", pid: 1, startedAtMs: 1, reason: "x", endedAtMs: 1 }, {
    owner: "bob",
    idempotencyKey: "k",
  });
  host.store.insert(other);
  await host.serve();
  assert.equal(host.store.getByKey("bob", "k")?.id, other.id);
  assert.equal(host.stored(id).idempotencyKey, "");
});

Deno.test("recovery: a folder that no record can be made of is kept and told, and the others are recovered", async () => {
  const { host, id } = await hostWithJob();
  await using _host = host;
  const names = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID(), "lost+found"];
  const texts = ["", "{", JSON.stringify(host.stored(id)), "{}"];
  for (const [index, name] of names.entries()) {
    Deno.mkdirSync(host.folderOf(name));
    if (index > 0) Deno.writeTextFileSync(join(host.folderOf(name), "job"), texts[index]!);
  }
  const file = crypto.randomUUID();
  Deno.writeTextFileSync(host.folderOf(file), "");
  host.crash(lose);
  await host.serve();
  assert.deepEqual(host.log.messages("error"), Array(5).fill(NO_RECORD));
  for (const name of [...names, file]) {
    assert.match(JSON.stringify(host.log.entries), new RegExp(name.replace("+", "\\+")));
    assert(host.folders().includes(name), "the folder is gone");
  }
  assert.equal(host.stored(id).owner, "bob");
});

Deno.test("recovery: of many folders without a record some are named, and the others counted", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 30; index++) Deno.mkdirSync(host.folderOf(crypto.randomUUID()));
  host.crash();
  await host.serve();
  assert.deepEqual(host.log.messages("error"), [
    ...Array(20).fill(NO_RECORD),
    "more folders have no record",
  ]);
});

Deno.test("recovery: processes of jobs that are neither on record nor in a folder are told", async () => {
  const { host, id } = await hostWithJob();
  await using _host = host;
  host.crash();
  host.executor.adoptions.set(id, {
    kind: "tracked",
    ...host.executor.begin(id, { pid: 8 }),
  });
  const stray = crypto.randomUUID();
  host.executor.strays = [id, stray];
  await host.serve();
  assert.match(
    host.log.messages("warn").join(),
    /processes of jobs that this server does not know/,
  );
  assert.match(JSON.stringify(host.log.entries), new RegExp(`"groups":"${stray}"`));
});

Deno.test("recovery: a host that cannot tell which groups have processes keeps no server from starting", async () => {
  await using host = await JobHost.prepare();
  host.executor.failures.inject("populated");
  await host.serve();
  assert.deepEqual(host.log.messages("warn"), ["cannot look for processes that no job has"]);
});

Deno.test("folderNames: each name once, in the order of bytes, in pieces of a folder with many; a folder that is gone is an error", async () => {
  const folder = await Deno.makeTempDir();
  try {
    assert.deepEqual(await Array.fromAsync(folderNames(folder)), []);
    const names = [".hidden", "-a", "a b", "\u00e9"];
    for (let index = 0; index < 3000; index++) names.push(crypto.randomUUID());
    for (const name of names) await Deno.writeFile(join(folder, name), new Uint8Array());
    const pieces = await Array.fromAsync(folderNames(folder));
    assert.deepEqual(pieces.flat(), names.sort());
    assert(pieces.length > 1, "all at once");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  await assert.rejects(Array.fromAsync(folderNames(folder)), /cannot list the folder/);
});

Deno.test("findKeptPart: the first byte behind the blocks that were freed, and 0 where none was", async () => {
  const path = await Deno.makeTempFile();
  try {
    assert.equal(await findKeptPart(path), 0);
    await Deno.writeFile(path, new Uint8Array(10_000));
    assert.equal(await findKeptPart(path), 0, "zeros that a job has written are output");
    await Deno.truncate(path);
    using file = await Deno.open(path, { write: true });
    await file.seek(40_960, Deno.SeekMode.Start);
    await file.write(new TextEncoder().encode("text".repeat(2000)));
    assert.equal(await findKeptPart(path), 40_960);
    await file.truncate(0);
    await file.truncate(81_920);
    assert.equal(await findKeptPart(path), 81_920, "no byte is left");
  } finally {
    await Deno.remove(path);
  }
});
