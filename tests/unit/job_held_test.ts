/** Jobs that wait on one host: for their turn, for others, for a time; and servers that end meanwhile. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import type { JobState } from "../../lib/model/record.ts";
import type { QueueSettings } from "../../lib/model/queue.ts";
import { FAKE_PID } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, NO_BOUNDS, recordOf, requestOf, soon } from "../support/job_host.ts";
import { isSettled } from "../support/settled.ts";

/** A host with queue `builds` of some parallelism. */
async function open(
  parallelism = 1,
  options: Parameters<typeof JobHost.open>[0] = {},
): Promise<JobHost> {
  const host = await JobHost.open(options);
  host.queuesFile(`builds ${parallelism}\n`);
  return host;
}

function inQueue(queue: QueueSettings = {}) {
  return requestOf({ queue: { queue: "builds", ...queue } });
}

/** Ids of the jobs that the executor was given, in order. */
function submitted(host: JobHost): string[] {
  return host.executor.submissions.map(({ jobId }) => jobId);
}

/** @param hasBegun Whether their launches come to their end: a test does not end before. */
async function untilSubmitted(
  host: JobHost,
  ids: readonly string[],
  { hasBegun = true } = {},
): Promise<void> {
  await soon("they are submitted", () => submitted(host).length >= ids.length);
  assert.deepEqual(submitted(host), ids);
  if (!hasBegun) return;
  await soon("they have begun", () => ids.every((id) => !existsSync(heldFile(host, id))));
}

async function untilKind(host: JobHost, id: string, kind: JobState["kind"]): Promise<JobState> {
  await soon(`the job is ${kind}`, () => host.stored(id).state.kind === kind);
  return host.stored(id).state;
}

async function reasonNeverRan(host: JobHost, id: string): Promise<string> {
  const state = await untilKind(host, id, "never-ran");
  assert(state.kind === "never-ran");
  return state.reason;
}

async function waitOf(host: JobHost, id: string) {
  return (await host.manager.query(id)).wait;
}

/** The look at what waits is over: nothing more comes of it. */
async function untilQuiet(host: JobHost): Promise<void> {
  await soon("the next look is set", () => host.clock.pendingMs.includes(1000));
}

function heldFile(host: JobHost, id: string): string {
  return join(host.folderOf(id), "held");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

Deno.test("held: as many jobs of a queue run as its line says, and the next begins when one ends", async () => {
  await using host = await open(2);
  const ids = [];
  for (let count = 0; count < 4; count++) ids.push(await host.start(inQueue()));
  const [first = "", , third = "", fourth = ""] = ids;
  await untilSubmitted(host, ids.slice(0, 2));
  await untilKind(host, first, "running");
  assert.deepEqual(await waitOf(host, third), {
    reason: "its turn in queue builds: 1st of 2",
    queuePosition: 1,
  });
  assert.deepEqual(await waitOf(host, fourth), {
    reason: "its turn in queue builds: 2nd of 2",
    queuePosition: 2,
  });
  assert.equal(await waitOf(host, first), undefined);
  assert.deepEqual(await host.manager.queues(), ["builds: 2 of 2 run, 2 wait"]);
  await host.end(first, { exitCode: 1 });
  await untilSubmitted(host, ids.slice(0, 3));
  const state = await untilKind(host, third, "running");
  assert.deepEqual(state, { kind: "running", pid: FAKE_PID, startedAtMs: host.clock.nowMs() });
});

Deno.test("held: a start is answered when what it was given is on the disk, which only the server can read", async () => {
  await using host = await open(0);
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const secrets = { environment: { TOKEN: "s3cret" }, input: new Uint8Array([0, 255, 10]) };
  const started = host.start({ ...inQueue(), secrets });
  await soon("it is on record", () => host.storedCount === 1);
  assert(!await isSettled(started));
  gate.resolve();
  const id = await started;
  assert.deepEqual(host.stored(id).state, { kind: "pending", openAfter: [] });
  assert.equal((await Deno.stat(heldFile(host, id))).mode! & 0o777, 0o600);
  assert(!JSON.stringify(host.stored(id)).includes("s3cret"));
  await untilQuiet(host);
  host.queuesFile("builds 1\n");
  host.clock.advance(1000);
  await untilSubmitted(host, [id]);
  assert.deepEqual(host.executor.submissions[0]?.secrets, secrets);
  await soon("the file is gone", () => !existsSync(heldFile(host, id)));
});

const FAILED = "the server failed to start it; its log says more";

function existsSync(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}

Deno.test("held: an owner with many jobs does not delay the first of another", async () => {
  await using host = await open(1);
  const running = await host.start(inQueue());
  await untilSubmitted(host, [running]);
  const many = [];
  for (let count = 0; count < 20; count++) many.push(await host.start(inQueue()));
  const bobs = await host.start(inQueue(), { owner: "bob" });
  assert.equal((await waitOf(host, bobs))?.queuePosition, 2);
  await host.end(running);
  await untilSubmitted(host, [running, many[0] ?? ""]);
  await host.end(many[0] ?? "");
  await untilSubmitted(host, [running, many[0] ?? "", bobs]);
});

Deno.test("held: a queue that is paused, changed or gone is so without a restart, and says so", async () => {
  await using host = await open(0);
  const id = await host.start(inQueue());
  await untilQuiet(host);
  assert.equal(
    (await waitOf(host, id))?.reason,
    "its turn in queue builds, which is paused: 1st of 1",
  );
  host.queuesFile("other 1\n");
  host.clock.advance(1000);
  await soon("it is gone", () => host.log.messages("info").includes("the queues have changed"));
  await untilQuiet(host);
  assert.equal((await waitOf(host, id))?.reason, "queue builds, which the server no longer has");
  host.queuesFile("builds one\n");
  host.clock.advance(1000);
  await soon("it is told", () => host.log.messages("error").length === 1);
  assert.deepEqual(submitted(host), []);
  await untilQuiet(host);
  host.queuesFile("builds 1\n");
  host.clock.advance(1000);
  await untilSubmitted(host, [id]);
});

Deno.test("held: a queue that does not exist is refused with those that do", async () => {
  await using host = await open(1);
  host.queuesFile("builds 1\nnight 0\n");
  await assertJobError(
    host.start(requestOf({ queue: { queue: "bulids" } })),
    "invalid",
    /there is no queue "bulids"; the queues are builds, night$/,
  );
  host.queuesFile("# none\n");
  await assertJobError(host.start(inQueue()), "invalid", /queues.txt, and has named none$/);
  host.queuesFile("builds\n");
  await assertJobError(host.start(inQueue()), "invalid", /none \(queues.txt: line 1 "builds": /);
  assert.equal(host.storedCount, 0);
});

Deno.test("after: a job begins when those before it have exited with 0, with or without a queue", async () => {
  for (const queue of [{}, { queue: "builds" }]) {
    await using host = await open(1);
    const [one, two] = [await host.start(), await host.start()];
    const id = await host.start(requestOf({ queue: { ...queue, after: [one, two] } }));
    assert.deepEqual(await waitOf(host, id), { reason: `job ${one} and 1 more`, queuePosition: 0 });
    await host.end(one);
    await soon("one is left", () => {
      const { state } = host.stored(id);
      return state.kind === "pending" && state.openAfter?.length === 1;
    });
    assert.equal((await waitOf(host, id))?.reason, `job ${two}`);
    assert.equal(submitted(host).length, 2);
    await host.end(two);
    await untilSubmitted(host, [one, two, id]);
    await untilKind(host, id, "running");
  }
});

Deno.test("after: where one has not succeeded none of those behind it runs, however long the chain", async () => {
  const ends: readonly ((host: JobHost, id: string) => unknown)[] = [
    (host, id) => host.end(id, { exitCode: 1 }),
    (host, id) => host.executor.lose(id, "the host went down"),
    (host, id) => host.manager.stop(id, { graceMs: 0 }),
  ];
  for (const end of ends) {
    await using host = await open(1);
    const chain = [await host.start()];
    for (let count = 0; count < 3; count++) {
      chain.push(await host.start(inQueue({ after: [chain.at(-1) ?? ""] })));
    }
    await end(host, chain[0] ?? "");
    for (const id of chain.slice(1)) {
      assert.equal(
        await reasonNeverRan(host, id),
        "a job that it was to begin after has not succeeded",
      );
      await soon("its file is gone", () => !existsSync(heldFile(host, id)));
    }
    assert.deepEqual(submitted(host), chain.slice(0, 1));
    assert.deepEqual(host.activeIds, []);
  }
});

Deno.test("after: many that wait for one job begin, or end, without keeping the server from others", async () => {
  await using host = await open(1);
  const first = await host.start();
  const ids = [];
  for (let count = 0; count < 120; count++) {
    ids.push(await host.start(requestOf({ queue: { after: [first] } })));
  }
  await host.end(first, { exitCode: 1 });
  for (const id of ids) await reasonNeverRan(host, id);
});

Deno.test("begin: a job waits for its time, in line only from then on", async () => {
  await using host = await open(1);
  const beginAtMs = host.clock.nowMs() + 3_000_000_000;
  const later = await host.start(inQueue({ beginAtMs }));
  assert.match((await waitOf(host, later))?.reason ?? "", /^its begin time, 2023-12-/);
  const now = await host.start(inQueue());
  await untilSubmitted(host, [now]);
  await host.end(now);
  host.clock.advance(2_900_000_000);
  assert.deepEqual(submitted(host), [now]);
  host.clock.advance(100_000_000);
  await untilSubmitted(host, [now, later]);
});

Deno.test("held: a stop takes a job back that waits, whatever it waits for, and says who", async () => {
  await using host = await open(1);
  const first = await host.start(inQueue());
  await untilSubmitted(host, [first]);
  for (const queue of [{}, { after: [first] }, { beginAtMs: host.clock.nowMs() + 1000 }]) {
    const id = await host.start(inQueue(queue));
    await host.manager.stop(id, { graceMs: 60_000, stoppedBy: "bob" });
    const { state, stoppedBy } = host.stored(id);
    assert(state.kind === "never-ran" && state.reason === "it was stopped before it began");
    assert.equal(stoppedBy, "bob");
    await soon("its file is gone", () => !existsSync(heldFile(host, id)));
  }
  await host.end(first);
  assert.deepEqual(submitted(host), [first]);
  assert.deepEqual(host.clock.pendingMs, []);
});

Deno.test("held: a stop that comes while a job is launched stops it then", async () => {
  await using host = await open(1);
  const gate = Promise.withResolvers<void>();
  host.executor.onSubmit = () => gate.promise;
  const id = await host.start(inQueue());
  await untilSubmitted(host, [id], { hasBegun: false });
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await untilKind(host, id, "stopping");
  assert(!await isSettled(stopped));
  gate.resolve();
  await stopped;
  const { state } = host.stored(id);
  assert(state.kind === "exited" && state.signal === 9, state.kind);
});

Deno.test("held: the timeout counts from the beginning", async () => {
  await using host = await open(1);
  const first = await host.start(inQueue());
  const id = await host.start(requestOf({ timeoutMs: 5000, queue: { queue: "builds" } }));
  await untilSubmitted(host, [first]);
  host.clock.advance(60_000);
  await host.end(first);
  await untilKind(host, id, "running");
  host.clock.advance(4999);
  assert.equal(host.stored(id).state.kind, "running");
  host.clock.advance(1);
  await untilKind(host, id, "stopping");
});

Deno.test("held: the limits of the moment in which it begins hold; above them it never runs", async () => {
  await using host = await open(1);
  const first = await host.start(inQueue());
  const plain = await host.start(inQueue());
  const above = await host.start({ ...inQueue(), limits: { memoryBytes: 2 ** 30 } });
  await untilSubmitted(host, [first]);
  host.limitFile("memory", "512M\n");
  await host.end(first);
  await untilSubmitted(host, [first, plain]);
  assert.equal(host.executor.submissions[1]?.limits.memoryBytes, 2 ** 29);
  assert.equal(host.stored(plain).limits.memoryBytes, 2 ** 29);
  assert.equal(host.stored(first).limits.memoryBytes, undefined);
  await host.end(plain);
  assert.equal(
    await reasonNeverRan(host, above),
    "its memory limit of 1G is above the server's of 512M",
  );
  assert.deepEqual(host.activeIds, []);
});

Deno.test("held: a limit file that is bad for a while ends no job that waits", async () => {
  await using host = await open(1);
  const first = await host.start(inQueue());
  await untilSubmitted(host, [first]);
  const ids = [await host.start(inQueue()), await host.start(inQueue())];
  host.limitFile("cpu", "half\n");
  await host.end(first);
  await soon("it is told", () => host.log.messages("warn").length === 1);
  await untilQuiet(host);
  for (const id of ids) {
    assert.match((await waitOf(host, id))?.reason ?? "", /^another attempt: limit file cpu_limit/);
  }
  // One attempt for all of them, and not at each look.
  host.clock.advance(4000);
  await untilQuiet(host);
  host.limitFile("cpu", "50%\n");
  host.clock.advance(1000);
  await untilSubmitted(host, [first, ids[0] ?? ""]);
  assert.equal(host.log.messages("warn").length, 1);
});

Deno.test("held: what cannot start never runs, with the reason; what only lacks room is tried again", async () => {
  await using host = await open(1);
  host.executor.failures.inject("submit", {
    times: 1,
    error: new JobError("invalid", "Cannot start the job: no such program: nope"),
  });
  assert.equal(await reasonNeverRan(host, await host.start(inQueue())), "no such program: nope");
  host.executor.failures.inject("submit", {
    times: 1,
    error: new JobError("exhausted", "Cannot start the job: no room for a process"),
  });
  const id = await host.start(inQueue());
  await soon("it is told", () => host.log.messages("warn").length === 1);
  assert.deepEqual(host.stored(id).state, { kind: "pending", openAfter: [] });
  assert.equal((await waitOf(host, id))?.reason, "another attempt: no room for a process");
  host.clock.advance(5000);
  await untilKind(host, id, "running");
  const folders = host.executor.submissions.map(({ folder }) => folder);
  // What a launcher has left of the first attempt is in nobody's way.
  assert.deepEqual(folders.slice(1), [
    host.folderOf(id),
    join(host.folderOf(id), "attempt-2"),
  ]);
  assert(await exists(folders[2] ?? ""));
});

Deno.test("held: bounds of what waits and of what runs are apart, and each is named", async () => {
  await using host = await open(9, {
    bounds: { maxJobs: 3, maxJobsPerUser: 2, maxWaitingJobs: 4, maxWaitingJobsPerUser: 3 },
  });
  const running = [await host.start(), await host.start()];
  await assertJobError(host.start(), "exhausted", /2 jobs running, .* --max-jobs-per-user allows/);
  const ids = [];
  for (let count = 0; count < 3; count++) ids.push(await host.start(inQueue()));
  await assertJobError(
    host.start(inQueue()),
    "exhausted",
    /alice has 3 jobs waiting, the most that --max-waiting-jobs-per-user allows/,
  );
  await untilQuiet(host);
  assert.deepEqual(submitted(host), running);
  const bobs = await host.start(inQueue(), { owner: "bob" });
  await untilSubmitted(host, [...running, bobs]);
  await host.start(inQueue(), { owner: "bob" });
  await assertJobError(
    host.start(inQueue(), { owner: "carol" }),
    "exhausted",
    /4 jobs are waiting, the most that --max-waiting-jobs allows/,
  );
  await host.end(running[0] ?? "");
  await untilSubmitted(host, [...running, bobs, ids[0] ?? ""]);
});

Deno.test("held: where bounds leave little room, queues have it by turns", async () => {
  await using host = await open(5, { bounds: { ...NO_BOUNDS, maxJobs: 1 } });
  host.queuesFile("builds 5\nnight 5\n");
  const running = await host.start();
  const builds = [await host.start(inQueue()), await host.start(inQueue())];
  const night = await host.start(inQueue({ queue: "night" }));
  await untilQuiet(host);
  await host.end(running);
  await untilSubmitted(host, [running, builds[0] ?? ""]);
  await host.end(builds[0] ?? "");
  await untilSubmitted(host, [running, builds[0] ?? "", night]);
});

Deno.test("held: a name belongs to one job of an owner that runs or waits", async () => {
  await using host = await open(0);
  const id = await host.start(requestOf({ title: "nightly", queue: { queue: "builds" } }));
  await assertJobError(
    host.start(requestOf({ title: "nightly" })),
    "precondition",
    /the name nightly waits; stop it/,
  );
  assert.equal(host.manager.resolve("nightly"), id);
  await assertJobError(
    host.manager.remove(id),
    "precondition",
    /waits for its turn; stop it first/,
  );
  await assertJobError(host.manager.signal(id, "HUP"), "precondition", /it has not begun/);
});

Deno.test("held: a full disk takes a start back, and leaves nothing of what it was given", async () => {
  await using host = await open(1);
  host.store.failures.inject("update", { error: new Error("database or disk is full") });
  await assertJobError(host.start(inQueue()), "exhausted", /^Cannot start the job: .* is full/);
  host.store.failures.clear();
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.folders(), []);
  const id = await host.start(inQueue());
  await untilSubmitted(host, [id]);
});

Deno.test("held: nothing is launched whose record the disk does not take, and it is tried again", async () => {
  await using host = await open(0);
  const id = await host.start(inQueue());
  await untilQuiet(host);
  host.queuesFile("builds 1\n");
  host.store.failures.inject("synced", { error: new Error("disk I/O error") });
  host.clock.advance(1000);
  await soon("it is told", () => host.log.messages("warn").length === 1);
  assert.deepEqual(submitted(host), []);
  host.store.failures.clear();
  host.clock.advance(5000);
  await untilSubmitted(host, [id]);
});

Deno.test("held: after the manager is closed nothing begins", async () => {
  await using host = await open(1);
  const first = await host.start(inQueue());
  await untilSubmitted(host, [first]);
  const id = await host.start(inQueue());
  await host.manager.close();
  await host.end(first);
  // Each of these would otherwise have its turn looked at, and that of the one before it.
  for (let count = 0; count < 3; count++) {
    assert.equal((await waitOf(host, await host.start(inQueue())))?.reason, "its turn");
  }
  assert.equal(host.stored(id).state.kind, "pending");
  assert.deepEqual(submitted(host), [first]);
});

Deno.test("restart: jobs that wait go on waiting, in their order, with what they were given", async () => {
  await using host = await open(1);
  const secrets = { environment: { A: "1" }, input: new Uint8Array([1]) };
  const ids: string[] = [];
  for (const request of [inQueue(), inQueue(), { ...inQueue(), secrets }]) {
    ids.push(await host.start(request));
    host.clock.advance(1);
  }
  const [running = "", second = "", third = ""] = ids;
  const last = await host.start(inQueue({ after: [running] }));
  await untilSubmitted(host, [running]);
  await untilKind(host, running, "running");
  host.crash();
  host.executor.adoptions.set(running, { kind: "tracked", ...host.executor.begin(running) });
  await host.serve();
  assert.deepEqual(host.executor.adoptionRequests.map(({ jobId }) => jobId), [running]);
  await untilQuiet(host);
  assert.deepEqual(submitted(host), [], "the queue is full");
  assert.equal((await waitOf(host, third))?.queuePosition, 2);
  assert.equal((await waitOf(host, last))?.reason, `job ${running}`);
  await host.end(running);
  await untilSubmitted(host, [second]);
  await host.end(second);
  await untilSubmitted(host, [second, third]);
  assert.deepEqual(host.executor.submissions[1]?.secrets, secrets);
  await host.end(third);
  await untilSubmitted(host, [second, third, last]);
});

Deno.test("restart: a success that a job waited for counts, also where that job was removed since", async () => {
  await using host = await open(1);
  const [first, other] = [await host.start(), await host.start()];
  const id = await host.start(inQueue({ after: [first, other] }));
  await host.end(first);
  await soon("it is on record", () => {
    const { state } = host.stored(id);
    return state.kind === "pending" && state.openAfter?.length === 1;
  });
  await host.manager.remove(first);
  host.crash();
  host.executor.adoptions.set(other, { kind: "tracked", ...host.executor.begin(other) });
  await host.serve();
  await host.end(other);
  await untilSubmitted(host, [id]);
});

Deno.test("restart: a server that ends while it launches a job leaves it running once, or waiting", async () => {
  for (const hasBegun of [true, false]) {
    await using host = await open(1);
    const gate = Promise.withResolvers<void>();
    host.executor.onSubmit = () => gate.promise;
    const id = await host.start(inQueue());
    await untilSubmitted(host, [id], { hasBegun: false });
    assert.deepEqual(host.stored(id).state, { kind: "pending" });
    host.crash();
    if (hasBegun) host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.begin(id) });
    await host.serve();
    assert.equal(host.executor.adoptionRequests[0]?.phase, "pending");
    await untilKind(host, id, "running");
    await soon("its file is gone", () => !existsSync(heldFile(host, id)));
    assert.deepEqual(submitted(host), hasBegun ? [] : [id]);
    if (!hasBegun) {
      // The first launch was withdrawn for good.
      assert.equal(host.executor.submissions[0]?.folder, join(host.folderOf(id), "attempt-2"));
      assert.equal(host.stored(id).attempt, 2);
    }
    await host.end(id);
    gate.reject(new Error("the server has ended"));
    await soon("it is", () => host.log.entries.some(({ reason }) => reason === FAILED));
  }
});

Deno.test("restart: a server that ends before a start is answered leaves nothing of it", async () => {
  await using host = await JobHost.prepare();
  host.queuesFile("builds 1\n");
  const record = recordOf({ kind: "starting" }, { settings: inQueue().settings });
  host.store.insert(record);
  await Deno.mkdir(host.folderOf(record.id), { recursive: true });
  await Deno.writeTextFile(heldFile(host, record.id), "half of it");
  await host.serve();
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.folders(), []);
  assert.deepEqual(submitted(host), []);
});

Deno.test("restart: a job whose stop was under way while it waited never runs", async () => {
  await using host = await open(0);
  const id = await host.start(inQueue());
  await untilQuiet(host);
  const record = host.stored(id);
  host.crash();
  host.store.update({
    ...record,
    state: { kind: "stopping", pid: 0, startedAtMs: 0, killAtMs: 5 },
  });
  host.queuesFile("builds 1\n");
  await host.serve();
  assert.equal(await reasonNeverRan(host, id), "it was stopped before it began");
  await soon("its file is gone", () => !existsSync(heldFile(host, id)));
  assert.deepEqual(submitted(host), []);
});

Deno.test("restart: a job whose variables and input are lost never runs without them", async () => {
  await using host = await open(0);
  const id = await host.start(inQueue());
  host.crash();
  await Deno.remove(heldFile(host, id));
  host.queuesFile("builds 1\n");
  await host.serve();
  assert.match(await reasonNeverRan(host, id), /the variables and the input .* are lost/);
});

Deno.test("restart: lost records of jobs that wait are made again, and they run once", async () => {
  await using host = await open(1);
  const running = await host.start(inQueue());
  await untilKind(host, running, "running");
  const waiting = await host.start(inQueue({ after: [running] }));
  host.crash((file) => Deno.removeSync(file));
  host.executor.adoptions.set(running, { kind: "tracked", ...host.executor.begin(running) });
  await host.serve();
  assert.equal((await waitOf(host, waiting))?.reason, `job ${running}`);
  assert.deepEqual(submitted(host), []);
  await host.end(running);
  await untilSubmitted(host, [waiting]);
});
