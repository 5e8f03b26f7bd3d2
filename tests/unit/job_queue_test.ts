/** Jobs that wait for their turn: every change of state, and servers that end between any two of them. */
import { strict as assert } from "node:assert";
import type { EngineStatus } from "../../lib/executor.ts";
import type { JobState } from "../../lib/model/record.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { CLUSTER, exited, FAKE_PID } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, NO_BOUNDS, recordOf, requestOf, soon } from "../support/job_host.ts";
import { isSettled } from "../support/settled.ts";

const NODE = { pid: 77, startedAtMs: 1_700_000_000_500, node: "n1" };

const STATUS: EngineStatus = {
  engineJob: "12",
  engineState: "PENDING",
  pendingReason: "Resources",
  partition: "main",
  asOfMs: 9,
};

function open(options: Parameters<typeof JobHost.open>[0] = {}): Promise<JobHost> {
  return JobHost.open(options, CLUSTER);
}

/** What was asked of the executor besides adoptions and submissions. */
function asked(host: JobHost): string[] {
  return host.executor.calls.filter((call) => call !== "adopt" && !call.startsWith("submit"));
}

function kindOf(host: JobHost, id: string): string {
  return host.stored(id).state.kind;
}

async function untilKind(host: JobHost, id: string, kind: JobState["kind"]): Promise<JobState> {
  await soon(`the job is ${kind}`, () => kindOf(host, id) === kind);
  return host.stored(id).state;
}

Deno.test("queue: a start is answered when the job is on the disk as one that waits", async () => {
  await using host = await open();
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const started = host.start();
  await soon("the job is submitted", () => host.executor.submissions.length === 1);
  assert(!await isSettled(started));
  gate.resolve();
  const id = await started;
  assert.deepEqual(host.stored(id).state, { kind: "pending" });
  assert.deepEqual(host.stored(id).engine, { engineJob: "1", asOfMs: 0 });
  assert.deepEqual(host.activeIds, [id]);
});

Deno.test("queue: a job waits, runs on a node and ends; the engine's words are on record with it", async () => {
  await using host = await open();
  const id = await host.start();
  host.executor.engineStatuses.set(id, STATUS);
  const { record, engine } = await host.manager.query(id);
  assert.deepEqual([record.state.kind, engine], ["pending", STATUS]);
  host.executor.engineStatuses.set(id, { ...STATUS, engineState: "RUNNING", node: "n1" });
  host.executor.begin(id, NODE);
  assert.deepEqual(await untilKind(host, id, "running"), { kind: "running", ...NODE });
  await host.end(id, { exitCode: 3, endedAtMs: NODE.startedAtMs + 5 });
  const ended = exited({ exitCode: 3, endedAtMs: NODE.startedAtMs + 5 });
  assert.deepEqual(host.stored(id).state, { ...ended, ...NODE });
  host.executor.engineStatuses.clear();
  assert.equal((await host.manager.query(id)).engine?.engineState, "RUNNING");
});

Deno.test("queue: the news of a job's beginning and end may come at once, and of its end alone", async () => {
  await using host = await open();
  const [both, end] = [await host.start(), await host.start()];
  host.executor.begin(both, NODE);
  await host.end(both, { exitCode: 1 });
  const { state } = host.stored(both);
  assert(state.kind === "exited" && state.pid === NODE.pid && state.node === "n1");
  await host.end(end, { exitCode: 2, endedAtMs: host.clock.nowMs() });
  const told = host.stored(end).state;
  assert(told.kind === "exited" && told.exitCode === 2 && told.pid === 0);
  assert.equal(told.startedAtMs, host.clock.nowMs());
});

Deno.test("queue: a job that cannot run ends with the reason, and has no output", async () => {
  await using host = await open();
  const id = await host.start();
  const waited = host.manager.wait(id);
  host.executor.neverRun(id, "no such program");
  await waited;
  assert.deepEqual(host.stored(id).state, {
    kind: "never-ran",
    reason: "no such program",
    endedAtMs: host.clock.nowMs(),
  });
  assert.equal((await host.manager.query(id)).outputBytes, 0);
  assert.equal(host.store.endedTotals().count, 1);
  await host.manager.remove(id);
  assert.deepEqual(host.folders(), []);
});

Deno.test("queue: a job that is lost with its node says so, also where its beginning was not heard of", async () => {
  await using host = await open();
  const [waiting, running] = [await host.start(), await host.start()];
  host.executor.begin(running, NODE);
  await untilKind(host, running, "running");
  for (const id of [waiting, running]) host.executor.lose(id, "node n1 failed");
  await Promise.all([host.manager.wait(waiting), host.manager.wait(running)]);
  for (const id of [waiting, running]) {
    const { state } = host.stored(id);
    assert(state.kind === "lost" && state.reason === "node n1 failed", state.kind);
  }
});

Deno.test("queue: a job that has begun is never told as one that never ran", async () => {
  await using host = await open();
  const id = await host.start();
  host.executor.begin(id, NODE);
  await untilKind(host, id, "running");
  host.executor.neverRun(id, "the engine gave it up");
  await host.manager.wait(id);
  const { state } = host.stored(id);
  assert(state.kind === "lost" && state.reason === "the engine gave it up", state.kind);
});

Deno.test("queue: stop takes a job back that waits, and settles when that is on record", async () => {
  await using host = await open();
  const id = await host.start();
  await host.manager.stop(id, { graceMs: 60_000 });
  assert.deepEqual(asked(host), [`withdraw ${id}`]);
  assert.deepEqual(host.clock.pendingMs, []);
  const { state } = host.stored(id);
  assert(state.kind === "never-ran" && /before it began/.test(state.reason));
  await assertJobError(host.manager.stop(id), "precondition", /never ran/);
});

Deno.test("queue: a job that begins while it is taken back is stopped as one that runs", async () => {
  await using host = await open();
  const id = await host.start();
  const killAtMs = host.clock.nowMs() + 5000;
  // The executor hears of the beginning first, the manager of the stop.
  host.executor.begin(id, NODE);
  const stopped = host.manager.stop(id, { graceMs: 5000 });
  await soon("the node is on record", () => {
    const { state } = host.stored(id);
    return state.kind === "stopping" && state.pid === NODE.pid;
  });
  assert.deepEqual(host.stored(id).state, { kind: "stopping", killAtMs, ...NODE });
  assert.deepEqual(asked(host), [`terminate ${id} TERM`]);
  host.clock.advance(5000);
  await stopped;
  const { state } = host.stored(id);
  assert(state.kind === "exited" && state.exitCode === 137 && state.node === "n1");
});

Deno.test("queue: who waits, and who reads, waits through all of it", async () => {
  await using host = await open();
  const id = await host.start();
  const waited = host.manager.wait(id);
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  const reading = (async () => {
    const { signal } = new AbortController();
    for await (const event of host.manager.output(id).read({ follow: true }, signal)) {
      if ("bytes" in event) chunks.push(decoder.decode(event.bytes));
    }
  })();
  assert(!await isSettled(waited));
  host.executor.begin(id, NODE);
  await untilKind(host, id, "running");
  await host.print(id, "hello\n");
  assert(!await isSettled(waited));
  await host.end(id);
  await Promise.all([waited, reading]);
  assert.equal(chunks.join(""), "hello\n");
});

Deno.test("queue: what needs a process is refused of a job that waits, with the reason", async () => {
  await using host = await open();
  const id = await host.start();
  await assertJobError(host.manager.signal(id, "HUP"), "precondition", /it has not begun/);
  await assertJobError(host.manager.remove(id), "precondition", /waits for its turn; stop it/);
  assert.deepEqual((await host.manager.query(id)).usage, {});
  await host.manager.holdDiskLimits();
  assert.deepEqual(asked(host), []);
});

Deno.test("queue: jobs that wait are found by their names and states, and hold both", async () => {
  await using host = await open({ bounds: { ...NO_BOUNDS, maxJobsPerUser: 1 } });
  const id = await host.start(requestOf({ title: "nightly" }));
  assert.equal(host.manager.resolve("nightly"), id);
  assert.equal(host.manager.resolve(id.slice(0, 8)), id);
  await assertJobError(host.start(requestOf()), "exhausted", /max-jobs-per-user/);
  await host.start(requestOf(), { owner: "bob" });
  const query = {
    owner: "alice",
    labels: {},
    startedAfterMs: 0,
    startedBeforeMs: Infinity,
    pageSize: 0,
    pageToken: "",
    withUsage: true,
  };
  for (const [states, count] of [[["pending"], 1], [["running"], 0], [[], 1]] as const) {
    assert.equal((await host.manager.list({ ...query, states })).jobs.length, count);
  }
  host.executor.neverRun(id, "x");
  await host.manager.wait(id);
  assert.equal((await host.manager.list({ ...query, states: ["never-ran"] })).jobs.length, 1);
});

Deno.test("queue: an executor that keeps time is given the timeout, and says whether it was over", async () => {
  await using host = await open();
  const id = await host.start(requestOf({ timeoutMs: 1000 }));
  host.executor.begin(id, { pid: 1 });
  await untilKind(host, id, "running");
  assert.deepEqual(host.clock.pendingMs, []);
  host.clock.advance(5000);
  assert.deepEqual(asked(host), []);
  assert.equal(host.executor.submissions[0]?.settings.timeoutMs, 1000);
  await host.end(id, { exitCode: 143, signal: 15, timedOut: true });
  const { timedOut, state } = host.stored(id);
  assert.equal(timedOut, true);
  assert(!("timedOut" in state));
});

Deno.test("queue: a start whose record the disk refuses is taken back", async () => {
  await using host = await open();
  host.store.failures.inject("update", { error: new Error("database or disk is full") });
  await assertJobError(host.start(), "exhausted", /full/);
  assert.deepEqual(asked(host).map((call) => call.split(" ")[0]), ["withdraw"]);
  assert.equal(host.storedCount, 0);
});

Deno.test("after: only jobs that have not ended are waited for, and one that failed is refused", async () => {
  await using host = await open();
  const [good, bad, waiting] = [await host.start(), await host.start(), await host.start()];
  await host.end(good);
  await host.end(bad, { exitCode: 1 });
  const id = await host.start(requestOf({ queue: { after: [good, waiting] } }));
  assert.deepEqual(host.executor.submissions.at(-1)?.after, [waiting]);
  assert.deepEqual(host.stored(id).settings?.queue, { after: [good, waiting] });
  for (const other of [bad, crypto.randomUUID()]) {
    await assertJobError(
      host.start(requestOf({ queue: { after: [other] } })),
      "precondition",
      new RegExp(`${other}, which it is to come after, has not exited with 0`),
    );
  }
  assert.equal(host.executor.submissions.length, 4);
});

Deno.test("queue: a host without one refuses what only a cluster has, before anything exists", async () => {
  await using host = await JobHost.open();
  await assertJobError(
    host.start(requestOf({ queue: { cpus: 5 } })),
    "invalid",
    /--cpus needs a server over a cluster \(--engine slurm\)/,
  );
  assert.equal(host.storedCount, 0);
});

Deno.test("restart: a server that ends while it submits leaves a job only where the engine has it", async () => {
  for (const isTaken of [true, false]) {
    await using host = await open();
    const submitted = Promise.withResolvers<string>();
    host.executor.onSubmit = async ({ jobId }) => {
      submitted.resolve(jobId);
      await new Promise(() => {});
    };
    void host.start(requestOf(), { idempotencyKey: "k" });
    const id = await submitted.promise;
    assert.equal(kindOf(host, id), "starting");
    host.crash();
    if (isTaken) host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.queue(id) });
    await host.serve();
    assert.equal(host.executor.adoptionRequests[0]?.phase, "starting");
    const again = await host.start(requestOf(), { idempotencyKey: "k" });
    assert.equal(again === id, isTaken);
    assert.equal(kindOf(host, again), "pending");
    assert.equal(host.executor.submissions.length, isTaken ? 0 : 1);
    assert.deepEqual(host.folders(), [again]);
  }
});

/** What a later server's executor finds of a job, and the state that the job comes to. */
type Find = (host: JobHost, id: string) => void;

const FINDS: readonly [name: string, find: Find, JobState["kind"]][] = [
  ["waits", (host, id) => {
    host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.queue(id) });
  }, "pending"],
  ["runs", (host, id) => {
    host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.begin(id, NODE) });
  }, "running"],
  ["has ended", (host, id) => {
    host.executor.adoptions.set(id, { kind: "ended", begun: NODE, ending: exited() });
  }, "exited"],
  ["has ended, and nobody knows when it began", (host, id) => {
    host.executor.adoptions.set(id, { kind: "ended", ending: exited() });
  }, "exited"],
  ["never ran", (host, id) => {
    const ending = { kind: "never-ran", reason: "cancelled", endedAtMs: 1 } as const;
    host.executor.adoptions.set(id, { kind: "ended", ending });
  }, "never-ran"],
  ["is not known to anybody", () => {}, "never-ran"],
];

for (const [name, find, kind] of FINDS) {
  Deno.test(`restart: a job that waited, and ${name}, is ${kind}`, async () => {
    await using host = await open();
    const id = await host.start();
    host.crash();
    find(host, id);
    await host.serve();
    assert.equal(host.executor.adoptionRequests[0]?.phase, "pending");
    await untilKind(host, id, kind);
    assert.deepEqual(host.folders(), [id]);
    assert.equal(host.executor.submissions.length, 0);
  });
}

Deno.test("restart: a job whose stop was under way is stopped to its end, wherever it is", async () => {
  for (const phase of ["pending", "running"] as const) {
    await using host = await open();
    const id = await host.start();
    if (phase === "running") {
      host.executor.begin(id, NODE);
      await untilKind(host, id, "running");
    }
    const gate = Promise.withResolvers<void>();
    host.executor.stop = () => gate.promise;
    void host.manager.stop(id, { graceMs: 5000 });
    await untilKind(host, id, "stopping");
    host.crash();
    const tracked = phase === "running" ? host.executor.begin(id) : host.executor.queue(id);
    host.executor.adoptions.set(id, { kind: "tracked", ...tracked });
    await host.serve();
    assert.equal(
      host.executor.adoptionRequests[0]?.phase,
      phase === "running" ? "begun" : "pending",
    );
    host.clock.advance(5000);
    await host.manager.wait(id);
    const { state } = host.stored(id);
    assert.equal(state.kind, phase === "running" ? "exited" : "never-ran");
    if (state.kind === "exited") assert.equal(state.node, "n1");
  }
});

Deno.test("restart: a stop of a job that waited, and of which nothing is found, is over", async () => {
  await using host = await JobHost.prepare(CLUSTER);
  const state = { kind: "stopping", pid: 0, startedAtMs: 0, killAtMs: 5 } as const;
  const record = recordOf(state, { settings: DEFAULT_SETTINGS });
  host.store.insert(record);
  Deno.mkdirSync(host.folderOf(record.id), { recursive: true });
  await host.serve();
  const stored = host.stored(record.id).state;
  assert(stored.kind === "never-ran" && /stopped before it began/.test(stored.reason));
});

Deno.test("restart: a job whose end could not be told is asked about again, with its beginning", async () => {
  await using host = await open();
  const id = await host.start();
  host.executor.failToTellEnd(id, new Error("the share is away"));
  await soon("the next question is set", () => host.clock.pendingMs[0] === 1000);
  const tracked = host.executor.queue(id);
  host.executor.adoptions.set(id, { kind: "tracked", ...tracked });
  host.clock.advance(1000);
  await soon("it is asked", () => host.executor.adoptionRequests.length === 1);
  assert.equal(host.executor.adoptionRequests[0]?.phase, "pending");
  host.executor.begin(id, NODE);
  assert.deepEqual(await untilKind(host, id, "running"), { kind: "running", ...NODE });
  await host.end(id);
});

Deno.test("restart: lost records are made again as of jobs that wait, and adoption tells the rest", async () => {
  await using host = await open();
  const [waiting, running] = [await host.start(), await host.start()];
  host.crash((file) => Deno.removeSync(file));
  host.executor.adoptions.set(waiting, { kind: "tracked", ...host.executor.queue(waiting) });
  host.executor.adoptions.set(running, { kind: "tracked", ...host.executor.begin(running, NODE) });
  await host.serve();
  assert.deepEqual(await untilKind(host, running, "running"), { kind: "running", ...NODE });
  assert.equal(kindOf(host, waiting), "pending");
});

Deno.test("query: a job of this host has nothing of an engine's", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  assert.equal((await host.manager.query(id)).engine, undefined);
  assert.equal(host.stored(id).engine, undefined);
  assert.deepEqual(host.stored(id).state, {
    kind: "running",
    pid: FAKE_PID,
    startedAtMs: host.clock.nowMs(),
  });
});
