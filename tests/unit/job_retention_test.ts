import { strict as assert } from "node:assert";
import type { Retention } from "../../lib/job/retention.ts";
import { Housekeeper } from "../../lib/server/housekeeping.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, recordOf, requestOf, soon } from "../support/job_host.ts";

const KEEP_ALL: Retention = { retainAgeMs: 1e15, retainCount: 1e9, retainBytes: 1e15 };

function housekeeper(
  host: JobHost,
  retention: Partial<Retention>,
): Disposable & { readonly keeper: Housekeeper } {
  const keeper = new Housekeeper(host.manager, host.store, {
    ...KEEP_ALL,
    ...retention,
    clock: host.clock,
  });
  return { keeper, [Symbol.dispose]: () => keeper.stop() };
}

/** Jobs that ended at 1, 2, 3 ... ms, the oldest first. */
function insertEnded(host: JobHost, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const record = recordOf({
      kind: "lost",
      pid: 1,
      startedAtMs: 1,
      reason: "x",
      endedAtMs: index + 1,
    });
    host.store.insert(record);
    host.store.update(record, 4096);
    Deno.mkdirSync(host.folderOf(record.id));
    return record.id;
  });
}

/** A run that does not end by itself is held here, so that the test fails and does not hang. */
function untilNever(): Promise<never> {
  return new Promise(() => {});
}

/** All tasks have been done, and the timers of the next time are set. */
function untilDone(host: JobHost): Promise<unknown> {
  return soon("housekeeping is done", () => host.clock.pendingMs.length === 3);
}

Deno.test("remove: a job that has ended goes with its output, and is on the disk as gone", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await assertJobError(host.manager.remove(id), "precondition", /is running; stop it first/);
  assert.deepEqual(host.folders(), [id]);
  await host.end(id);
  host.store.calls.length = 0;
  await host.manager.remove(id);
  assert.deepEqual(host.store.calls, ["delete", "synced"]);
  assert.deepEqual(host.folders(), []);
  assert.equal(host.storedCount, 0);
  await assertJobError(host.manager.remove(id), "not-found", /No job has the id/);
  await assertJobError(host.manager.query(id), "not-found", /No job has the id/);
});

Deno.test("remove: a folder that cannot be removed leaves the record, and it can be done again", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.end(id);
  const mend = host.breakFolders();
  await assert.rejects(host.manager.remove(id));
  assert.equal(host.storedCount, 1);
  mend();
  await host.manager.remove(id);
  assert.deepEqual(host.folders(), []);
});

Deno.test("remove: a record that cannot be deleted is shown without output, and can be removed again", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.print(id, "text");
  await host.end(id);
  host.store.failures.inject("delete", { times: 1 });
  await assert.rejects(host.manager.remove(id), /injected failure of delete/);
  assert.equal((await host.manager.query(id)).outputBytes, 0);
  host.store.failures.inject("synced", { times: 1 });
  await assert.rejects(host.manager.remove(id), /injected failure of synced/);
  assert.equal(host.storedCount, 0);
});

Deno.test("housekeeping: the oldest finished jobs go at once, and running ones never", async () => {
  await using host = await JobHost.open();
  const ids = insertEnded(host, 3);
  const running = await host.start(requestOf());
  using _keeper = housekeeper(host, { retainCount: 1 });
  await untilDone(host);
  assert.deepEqual(host.folders().sort(), [ids[2], running].sort());
  assert.deepEqual(host.store.endedTotals(), { count: 1, outputBytes: 4096 });
});

Deno.test("housekeeping: by age, count and size, again every ten seconds; rotation twice a second", async () => {
  await using host = await JobHost.open();
  using _keeper = housekeeper(host, { retainAgeMs: 60_000 });
  await untilDone(host);
  assert.deepEqual(host.clock.pendingMs, [500, 5000, 10_000]);
  const id = await host.start();
  await host.end(id, { endedAtMs: host.clock.nowMs() });
  for (const stepMs of [60_000, 10_001]) {
    assert.equal(host.storedCount, 1);
    host.clock.advance(stepMs);
    await untilDone(host);
  }
  await soon("the removal", () => host.storedCount === 0);
});

Deno.test("housekeeping: more than one batch is removed in one run", async () => {
  await using host = await JobHost.open();
  insertEnded(host, 250);
  using _keeper = housekeeper(host, { retainBytes: 4096 * 20 });
  await untilDone(host);
  assert.equal(host.storedCount, 20);
  assert.equal(host.folders().length, 20);
});

Deno.test("housekeeping: a job that someone else removes meanwhile does not stop it", async () => {
  await using host = await JobHost.open();
  const ids = insertEnded(host, 3);
  const { manager } = host;
  const remove = manager.remove.bind(manager);
  manager.remove = async (id) => {
    if (id === ids[0]) await remove(id);
    await remove(id);
  };
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.log.messages("error"), []);
});

Deno.test("housekeeping: a job that cannot be removed does not keep the others, and is tried again", async () => {
  await using host = await JobHost.open();
  insertEnded(host, 3);
  host.store.failures.inject("delete", { times: 1 });
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert.equal(host.storedCount, 1);
  assert.deepEqual(host.log.messages("error"), [
    "cannot remove a finished job; it is tried again from time to time",
  ]);
  host.clock.advance(10_000);
  await soon("the second attempt", () => host.storedCount === 0);
});

Deno.test("housekeeping: a job that cannot be removed is told once, and tried less and less often", async () => {
  await using host = await JobHost.open();
  insertEnded(host, 1);
  host.store.failures.inject("delete");
  using _keeper = housekeeper(host, { retainCount: 0 });
  const attempts = () => host.store.calls.filter((call) => call === "delete").length;
  const counts: number[] = [];
  for (let round = 0; round < 40; round++) {
    await untilDone(host);
    counts.push(attempts());
    host.clock.advance(10_000);
  }
  assert.deepEqual([counts[0], counts[1], counts[39]], [1, 2, 6], counts.join());
  assert.equal(host.log.messages("error").length, 1);
  host.store.failures.clear();
  for (let round = 0; round < 40 && host.storedCount > 0; round++) {
    await untilDone(host);
    host.clock.advance(10_000);
  }
  assert.equal(host.storedCount, 0);
});

Deno.test("housekeeping: thousands of jobs that cannot be removed are read a few times only", async () => {
  await using host = await JobHost.open();
  insertEnded(host, 3000);
  const { manager, store } = host;
  manager.remove = () => Promise.reject(new Error("stuck"));
  const oldestEnded = store.oldestEnded.bind(store);
  let rows = 0;
  store.oldestEnded = (count) => {
    const jobs = oldestEnded(count);
    rows += jobs.length;
    return jobs;
  };
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert(rows >= 3000 && rows < 12_000, String(rows));
});

Deno.test("housekeeping: a run ends also where a whole batch cannot be removed", async () => {
  await using host = await JobHost.open();
  const ids = insertEnded(host, 130);
  const { manager } = host;
  const remove = manager.remove.bind(manager);
  const stuck = new Set(ids.slice(0, 120));
  let calls = 0;
  manager.remove = async (id) => {
    if (++calls > 1000) await untilNever();
    if (stuck.has(id)) throw new Error("stuck");
    await remove(id);
  };
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert.equal(calls, 130, "each job once in a run");
  assert.equal(host.storedCount, 120);
});

Deno.test("housekeeping: more than a batch of damaged records ends the run, and the others go", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 130; index++) {
    const id = crypto.randomUUID();
    const damaged = recordOf({
      kind: "lost",
      pid: 1,
      startedAtMs: 1,
      reason: "",
      endedAtMs: index,
    });
    host.store.insert({ ...damaged, id, command: null as never });
  }
  const whole = recordOf({ kind: "lost", pid: 1, startedAtMs: 1, reason: "", endedAtMs: 1000 });
  host.store.insert(whole);
  const { manager } = host;
  const remove = manager.remove.bind(manager);
  let calls = 0;
  manager.remove = async (id) => {
    if (++calls > 1000) await untilNever();
    await remove(id);
  };
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert.equal(calls, 131);
  assert.equal(host.store.get(whole.id), undefined);
  assert.equal(host.storedCount, 130);
});

Deno.test("housekeeping: a failure of the database is logged, and the next run comes", async () => {
  await using host = await JobHost.open();
  const [id] = insertEnded(host, 1);
  const { store } = host;
  const oldestEnded = store.oldestEnded.bind(store);
  store.oldestEnded = () => {
    throw new Error("the database is gone");
  };
  using _keeper = housekeeper(host, { retainCount: 0 });
  await untilDone(host);
  assert.deepEqual(host.log.messages("error"), ["housekeeping failed"]);
  store.oldestEnded = oldestEnded;
  host.clock.advance(10_000);
  await soon("the removal", () => store.get(id!) === undefined);
});

Deno.test("housekeeping: disk limits of jobs that run are held every five seconds, also after a failure", async () => {
  await using host = await JobHost.open();
  const held = () => host.executor.calls.filter((call) => call.startsWith("holdDiskLimits"));
  using _keeper = housekeeper(host, {});
  await untilDone(host);
  await host.start();
  host.limitFile("disk_io", "read=5MB/s");
  const limited = await host.start();
  host.executor.failures.inject("holdDiskLimits", { times: 1 });
  for (let round = 0; round < 2; round++) {
    host.clock.advance(5000);
    await soon("a look", () => held().length === round + 1);
    await untilDone(host);
  }
  const jobs = [{ jobId: limited, limits: { readBytesPerSecond: 5_000_000 } }];
  assert.deepEqual(held(), Array(2).fill(`holdDiskLimits ${JSON.stringify(jobs)}`));
  assert.deepEqual(host.log.messages("error"), ["housekeeping failed"]);
  await host.end(limited);
  host.clock.advance(5000);
  await untilDone(host);
  assert.equal(held().length, 2, "nothing is to be held");
});

Deno.test("housekeeping: once stopped it does nothing more, also where a run was under way", async () => {
  await using host = await JobHost.open();
  const { keeper } = housekeeper(host, {});
  keeper.stop();
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  await host.start();
  assert.deepEqual(host.clock.pendingMs, []);
  const { keeper: later } = housekeeper(host, {});
  await untilDone(host);
  later.stop();
  assert.deepEqual(host.clock.pendingMs, []);
});
