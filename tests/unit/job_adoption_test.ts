import { strict as assert } from "node:assert";
import type { JobRecord, JobState } from "../../lib/model/record.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { exited } from "../support/fake_executor.ts";
import { JobHost, recordOf, requestOf, soon } from "../support/job_host.ts";
import { isSettled } from "../support/settled.ts";

const STARTING: JobState = { kind: "starting" };
const RUNNING: JobState = { kind: "running", pid: 7, startedAtMs: 50 };

/** A host on whose record an earlier server has left a job, with its folder. */
async function hostWith(record: JobRecord): Promise<JobHost> {
  const host = await JobHost.prepare();
  host.store.insert(record);
  Deno.mkdirSync(host.folderOf(record.id), { recursive: true });
  await host.print(record.id, "before\n");
  return host;
}

function adoptAs(host: JobHost, id: string, kind: "tracked" | "ended"): void {
  host.executor.adoptions.set(
    id,
    kind === "tracked"
      ? { kind, ...host.executor.begin(id, { pid: 8 }) }
      : { kind, begun: { pid: 8 }, ending: exited({ exitCode: 4, endedAtMs: 90 }) },
  );
}

Deno.test("adoption: the executor is asked about all jobs that had not ended, at once", async () => {
  await using host = await JobHost.prepare();
  const starting = recordOf(STARTING);
  const running = recordOf(RUNNING);
  const stopping = recordOf({ ...RUNNING, kind: "stopping", killAtMs: 1 });
  const ended = recordOf({ ...RUNNING, kind: "lost", reason: "x", endedAtMs: 1 });
  for (const record of [starting, running, stopping, ended]) host.store.insert(record);
  for (const { id } of [running, stopping]) adoptAs(host, id, "ended");
  await host.serve();
  assert.equal(host.executor.calls.filter((call) => call === "adopt").length, 1);
  const byId = new Map(host.executor.adoptionRequests.map((request) => [request.jobId, request]));
  assert.equal(byId.size, 3);
  assert.deepEqual(byId.get(starting.id), {
    jobId: starting.id,
    handle: starting.handle,
    folder: host.folderOf(starting.id),
    owner: "alice",
    settings: DEFAULT_SETTINGS,
    command: starting.command,
    phase: "starting",
    submittedAtMs: 1,
  });
  assert.equal(byId.get(running.id)?.phase, "begun");
  assert.equal(byId.get(stopping.id)?.phase, "begun");
});

Deno.test("adoption: a job that runs goes on, and its end is recorded", async () => {
  const record = recordOf(RUNNING);
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  assert.deepEqual(host.activeIds, [record.id]);
  assert.deepEqual(host.stored(record.id).state, RUNNING);
  await host.end(record.id, { exitCode: 3, endedAtMs: 60 });
  assert.deepEqual(host.stored(record.id).state, {
    ...exited({ exitCode: 3, endedAtMs: 60 }),
    pid: 7,
    startedAtMs: 50,
  });
});

Deno.test("adoption: a start that has become a job is recorded as one that runs", async () => {
  const record = recordOf(STARTING, { createdAtMs: 40 });
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  await soon("the record", () => host.stored(record.id).state.kind === "running");
  assert.deepEqual(host.stored(record.id).state, { kind: "running", pid: 8, startedAtMs: 40 });
});

Deno.test("adoption: a repeated start finds an adopted job whose record cannot be stored yet", async () => {
  const record = recordOf(STARTING, { idempotencyKey: "k" });
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  host.store.failures.inject("update");
  await host.serve();
  assert.equal(await host.start(requestOf(), { idempotencyKey: "k" }), record.id);
  assert.deepEqual(host.executor.submissions, []);
});

Deno.test("adoption: a job that has ended meanwhile is recorded before the server is ready", async () => {
  for (const state of [STARTING, RUNNING, { ...RUNNING, kind: "stopping", killAtMs: 1 } as const]) {
    const record = recordOf(state, { createdAtMs: 40 });
    await using host = await hostWith(record);
    adoptAs(host, record.id, "ended");
    await host.serve();
    assert.deepEqual(host.activeIds, []);
    const stored = host.stored(record.id);
    assert(stored.state.kind === "exited" && stored.state.exitCode === 4, state.kind);
    assert.equal(stored.state.pid, state === STARTING ? 8 : 7);
    assert.deepEqual(host.store.endedTotals().count, 1);
    assert.deepEqual(host.clock.pendingMs, []);
  }
});

Deno.test("adoption: the server is ready when the ends it has found are on the disk", async () => {
  const record = recordOf(RUNNING);
  await using host = await hostWith(record);
  adoptAs(host, record.id, "ended");
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  let isReady = false;
  const serving = host.serve().then(() => isReady = true);
  await soon("the sync", () => host.store.calls.includes("synced"));
  // Turns of the event loop, in which a server that waits for nothing would be ready.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  assert(!isReady);
  gate.resolve();
  await serving;
});

Deno.test("adoption: a stuck disk keeps the server from being ready for ten seconds, and no longer", async () => {
  const record = recordOf(RUNNING);
  await using host = await hostWith(record);
  adoptAs(host, record.id, "ended");
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const serving = host.serve();
  await soon("the sync", () => host.store.calls.includes("synced"));
  host.clock.advance(9_999);
  assert(!await isSettled(serving));
  host.clock.advance(1);
  await serving;
  assert.match(host.log.messages("warn").join(), /before the ends .* are on the disk/);
  gate.resolve();
  // The line after the record: it must not be written when the test is over.
  await soon("the end", () => host.log.messages("info").includes("job ended"));
  assert.equal(host.store.endedTotals().count, 1);
});

Deno.test("adoption: a stop signal that is stuck keeps neither the others nor the server back", async () => {
  const host = await JobHost.prepare();
  await using _host = host;
  const state = { ...RUNNING, kind: "stopping", killAtMs: host.clock.nowMs() + 60_000 } as const;
  const records = [recordOf(state), recordOf(state), recordOf(state)];
  for (const record of records) {
    host.store.insert(record);
    adoptAs(host, record.id, "tracked");
  }
  const gate = Promise.withResolvers<void>();
  host.executor.onTerminate = () => gate.promise;
  const serving = host.serve();
  const sent = () => host.executor.calls.filter((call) => call.startsWith("terminate")).length;
  await soon("all stop signals", () => sent() === 3);
  host.clock.advance(10_000);
  await serving;
  gate.resolve();
});

Deno.test("adoption: a start that came to nothing is removed, with its folder", async () => {
  const record = recordOf(STARTING, { idempotencyKey: "k" });
  await using host = await hostWith(record);
  await host.serve();
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.folders(), []);
  // Its client, which had no answer, starts it again.
  await host.start(requestOf(), { idempotencyKey: "k" });
});

Deno.test("adoption: a start that cannot be removed does not keep the server from serving", async () => {
  const record = recordOf(STARTING);
  await using host = await hostWith(record);
  host.store.failures.inject("delete");
  await host.serve();
  assert.deepEqual(host.log.messages("error"), ["cannot clean up after a failed start"]);
  assert.deepEqual(host.activeIds, []);
  assert.equal(host.stored(record.id).state.kind, "starting");
});

Deno.test("adoption: a job that has run, and of which nothing is found, is lost and not removed", async () => {
  for (const state of [RUNNING, { ...RUNNING, kind: "stopping", killAtMs: 1 } as const]) {
    const record = recordOf(state);
    await using host = await hostWith(record);
    await host.serve();
    const stored = host.stored(record.id).state;
    assert(stored.kind === "lost" && /files were damaged/.test(stored.reason));
    assert.deepEqual(host.folders(), [record.id]);
    assert.deepEqual(host.activeIds, []);
  }
});

Deno.test("adoption: a job that was being stopped is stopped to its end, at its time", async () => {
  const host = await JobHost.prepare();
  await using _host = host;
  const killAtMs = host.clock.nowMs() + 5000;
  const record = recordOf({ ...RUNNING, kind: "stopping", killAtMs }, {
    settings: { ...DEFAULT_SETTINGS, stopSignal: "QUIT" },
  });
  host.store.insert(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  assert.deepEqual(host.executor.calls, ["adopt", `terminate ${record.id} QUIT`]);
  assert.deepEqual(host.clock.pendingMs, [5000]);
  host.clock.advance(5000);
  await host.manager.wait(record.id);
  assert.equal(host.stored(record.id).state.kind, "exited");
});

Deno.test("adoption: a job whose grace period is over is killed at once", async () => {
  const record = recordOf({ ...RUNNING, kind: "stopping", killAtMs: 1 });
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  await host.manager.wait(record.id);
  assert.deepEqual(host.executor.calls, ["adopt", `kill ${record.id}`]);
});

Deno.test("adoption: a stop signal or a kill that fails keeps neither the server nor the kill back", async () => {
  for (const operation of ["terminate", "kill"] as const) {
    const host = await JobHost.prepare();
    await using _host = host;
    const killAtMs = host.clock.nowMs() + (operation === "kill" ? 0 : 100);
    const record = recordOf({ ...RUNNING, kind: "stopping", killAtMs });
    host.store.insert(record);
    adoptAs(host, record.id, "tracked");
    host.executor.failures.inject(operation, { times: 1 });
    await host.serve();
    host.clock.advance(500);
    await host.manager.wait(record.id);
    assert.equal(host.stored(record.id).state.kind, "exited");
  }
});

Deno.test("adoption: a timeout counts from the job's start, and one that is over stops it at once", async () => {
  const host = await JobHost.prepare();
  await using _host = host;
  const startedAtMs = host.clock.nowMs() - 1000;
  const records = [400, 1000, 3000].map((timeoutMs) =>
    recordOf({ ...RUNNING, startedAtMs }, {
      settings: { ...DEFAULT_SETTINGS, timeoutMs, graceMs: 0 },
    })
  );
  for (const record of records) {
    host.store.insert(record);
    adoptAs(host, record.id, "tracked");
  }
  await host.serve();
  assert.deepEqual(host.clock.pendingMs, [0, 0, 2000]);
  host.clock.advance(0);
  const [first, second, third] = records;
  await host.manager.wait(first!.id);
  await host.manager.wait(second!.id);
  assert.deepEqual(host.activeIds, [third!.id]);
  host.clock.advance(2000);
  await host.manager.wait(third!.id);
  for (const { id } of records) assert.equal(host.stored(id).timedOut, true);
});

Deno.test("adoption: output that was rotated away stays away, and readers are told", async () => {
  const record = recordOf(RUNNING, { firstOffset: 4 });
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  assert.equal(host.manager.output(record.id).firstOffset, 4);
  await host.end(record.id);
  assert.equal(host.manager.output(record.id).firstOffset, 4);
});

Deno.test("adoption: where the executor or the disk fails, no server serves, and nothing is changed", async () => {
  const record = recordOf(RUNNING);
  await using host = await hostWith(record);
  host.executor.failures.inject("adopt", { times: 1 });
  await assert.rejects(host.serve(), /injected failure of adopt/);
  const mend = host.breakFolders();
  await assert.rejects(host.serve());
  mend();
  assert.deepEqual(host.stored(record.id), record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  assert.deepEqual(host.activeIds, [record.id]);
});

Deno.test("adoption: an end that cannot be stored at once is stored later, and the server serves", async () => {
  for (const operation of ["update", "synced"] as const) {
    const record = recordOf(RUNNING);
    await using host = await hostWith(record);
    adoptAs(host, record.id, "ended");
    host.store.failures.inject(operation);
    await host.serve();
    assert.equal((await host.manager.query(record.id)).record.state.kind, "exited");
    host.store.failures.clear();
    host.clock.advance(1000);
    await soon("the record", () => host.store.endedTotals().count === 1);
    await soon("no timer is left", () => host.clock.pendingMs.length === 0);
  }
});

Deno.test("adoption: a damaged record is passed over, and the other jobs are adopted", async () => {
  await using host = await JobHost.prepare();
  const damaged = recordOf({ ...RUNNING, pid: "seven" } as unknown as JobState);
  const whole = recordOf(RUNNING);
  for (const record of [damaged, whole]) host.store.insert(record);
  adoptAs(host, whole.id, "tracked");
  await host.serve();
  assert.deepEqual(host.activeIds, [whole.id]);
  assert.deepEqual(host.log.messages("error"), [
    "a job's record is damaged, and passed over; its folder is kept",
  ]);
});

Deno.test("adoption: jobs of an earlier server without settings run on with the defaults", async () => {
  const { settings: _, ...record } = recordOf({ ...RUNNING, kind: "stopping", killAtMs: 1e15 });
  await using host = await hostWith(record);
  adoptAs(host, record.id, "tracked");
  await host.serve();
  assert.deepEqual(host.executor.calls, ["adopt", `terminate ${record.id} TERM`]);
  await host.end(record.id);
});
