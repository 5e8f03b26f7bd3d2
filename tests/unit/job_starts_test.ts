import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../lib/model/settings.ts";
import { OWNER_UID } from "../../lib/model/owner_uids.ts";
import { FULL_DISK, REFUSING_DISK } from "../support/failures.ts";
import { FAKE_PID } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, NO_BOUNDS, requestOf, soon } from "../support/job_host.ts";
import { isSettled, turn } from "../support/settled.ts";

Deno.test("start: a job that runs is on record, with its settings, limits and owner", async () => {
  await using host = await JobHost.open({ maxProcesses: 64 });
  host.limitFile("cpu", "50%");
  const request = requestOf({ title: "nightly", labels: { team: "x" } }, {
    command: { name: "tar", args: ["-c", "/srv"] },
    limits: { memoryBytes: 2 ** 20 },
  });
  const id = await host.start(request, { owner: "bob", idempotencyKey: "key" });
  const { state, createdAtMs, handle: _, ...rest } = host.stored(id);
  assert.deepEqual(rest, {
    id,
    command: request.command,
    settings: request.settings,
    owner: "bob",
    idempotencyKey: "key",
    limits: { cpuCores: 0.5, memoryBytes: 2 ** 20, processes: 64 },
    askedLimits: { memoryBytes: 2 ** 20 },
    firstOffset: 0,
  });
  assert.equal(createdAtMs, host.clock.nowMs());
  assert.deepEqual(state, { kind: "running", pid: FAKE_PID, startedAtMs: host.clock.nowMs() });
  assert.deepEqual(host.activeIds, [id]);
  assert.deepEqual(host.folders(), [id]);
});

Deno.test("start: the executor is given what the request says, and a folder that only root can read", async () => {
  await using host = await JobHost.open({ graceMs: 1234 });
  const secrets = { environment: { A: "secret" }, input: Uint8Array.of(1) };
  const id = await host.start(requestOf({ user: "www-data" }, { secrets }));
  const [launch] = host.executor.submissions;
  assert(launch);
  assert.equal(launch.jobId, id);
  assert.equal(launch.secrets, secrets);
  assert.equal(launch.settings.user, "www-data");
  assert.equal(launch.graceMs, 1234);
  assert.equal(launch.folder, host.folderOf(id));
  assert.equal(Deno.statSync(launch.folder).mode! & 0o777, 0o700);
  assert.equal(Deno.statSync(launch.output).mode! & 0o777, 0o600);
  await host.start(requestOf({ graceMs: 5 }));
  assert.equal(host.executor.submissions[1]?.graceMs, 5);
  assert(!JSON.stringify(host.stored(id)).includes('secret"'), "a secret is on record");
});

Deno.test("start: a job that asks for no user runs as its owner's uid, which is on the disk before", async () => {
  await using host = await JobHost.open({ ownerUids: { first: 700_000, last: 700_001 } });
  const start = (owner: string, user = OWNER_UID, idempotencyKey = "") =>
    host.start(requestOf({ user }), { owner, idempotencyKey });
  const userOf = (id: string) => host.stored(id).settings?.user;
  host.executor.onSubmit = () => {
    assert.equal(host.store.calls[0], "synced");
    return Promise.resolve();
  };
  assert.equal(userOf(await start("alice")), "700000");
  assert.equal(host.executor.submissions[0]?.settings.user, "700000");
  const id = await start("bob", OWNER_UID, "key");
  assert.equal(userOf(id), "700001");
  assert.equal(await start("bob", OWNER_UID, "key"), id);
  assert.equal(userOf(await start("alice")), "700000");
  assert.equal(userOf(await start("alice", "www-data")), "www-data");
  await assertJobError(start("carol"), "exhausted", /all uids of --owner-uids are given/);
});

Deno.test("start: while it is under way the job is on record, and does not exist for callers", async () => {
  await using host = await JobHost.open();
  let seen = false;
  host.executor.onSubmit = async ({ jobId }) => {
    seen = true;
    assert.equal(host.stored(jobId).state.kind, "starting");
    assert.deepEqual(host.activeIds, []);
    await assertJobError(host.manager.query(jobId), "not-found", /No job has the id/);
    await assertJobError(host.manager.stop(jobId), "not-found", /No job has the id/);
    await assertJobError(host.manager.remove(jobId), "not-found", /No job has the id/);
  };
  await host.start();
  assert(seen);
});

Deno.test("start: a request that cannot be carried out leaves nothing", async () => {
  await using host = await JobHost.open();
  await assertJobError(
    host.start(requestOf({}, { command: { name: "", args: [] } })),
    "invalid",
    /program's name is empty/,
  );
  await assertJobError(
    host.start(requestOf(), { idempotencyKey: "x".repeat(129) }),
    "invalid",
    /idempotency key is above 128 characters/,
  );
  await assertJobError(
    host.start(requestOf({}, { limits: { memoryBytes: 1 } })),
    "invalid",
    /memory limit/,
  );
  host.limitFile("memory", "1M");
  await assertJobError(
    host.start(requestOf({}, { limits: { memoryBytes: 2 ** 30 } })),
    "precondition",
    /above the server's/,
  );
  host.limitFile("cpu", "fast");
  await assertJobError(host.start(), "precondition", /cpu_limit\.txt/);
  host.limitFile("cpu", "max");
  host.executor.failures.inject("plan", { error: new JobError("precondition", "no controller") });
  await assertJobError(host.start(), "precondition", /no controller/);
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.folders(), []);
  assert.deepEqual(host.executor.submissions, []);
});

Deno.test("start: a launch that fails is told as it is, and leaves nothing", async () => {
  await using host = await JobHost.open();
  for (const error of [new JobError("precondition", "no such program"), new Error("fork failed")]) {
    host.executor.failures.inject("submit", { times: 1, error });
    await assert.rejects(host.start(requestOf({ title: "t" }), { idempotencyKey: "k" }), error);
    assert.equal(host.storedCount, 0);
    assert.deepEqual(host.folders(), []);
    assert.deepEqual(host.activeIds, []);
  }
  // Neither the name nor the key is taken by it.
  await host.start(requestOf({ title: "t" }), { idempotencyKey: "k" });
});

Deno.test("start: on a full disk it is refused with what to do, wherever the disk is full", async () => {
  for (const error of FULL_DISK) {
    await using host = await JobHost.open();
    host.store.failures.inject("insert", { error });
    await assertJobError(host.start(), "exhausted", /disk .* is full/);
    host.store.failures.clear();
    host.executor.failures.inject("submit", { error });
    await assertJobError(host.start(), "exhausted", /disk .* is full/);
    assert.equal(host.storedCount, 0);
    assert.deepEqual(host.folders(), []);
    assert.deepEqual(host.activeIds, []);
    host.executor.failures.clear();
    await host.start();
  }
});

Deno.test("start: a folder that cannot be made fails it, and the record does not stay", async () => {
  await using host = await JobHost.open();
  host.executor.onSubmit = () => assert.fail("launched without a folder");
  // The record can go while the folder is in the way: the removal finds nothing to remove.
  Deno.removeSync(host.folderOf(""), { recursive: true });
  await assert.rejects(host.start(), Deno.errors.NotFound);
  assert.equal(host.storedCount, 0);
});

Deno.test("start: where the clean-up fails too, the record stays for the next server to clear", async () => {
  await using host = await JobHost.open();
  let mend = () => {};
  host.executor.onSubmit = () => {
    mend = host.breakFolders();
  };
  host.executor.failures.inject("submit");
  await assert.rejects(host.start(), /injected failure of submit/);
  assert.equal(host.storedCount, 1);
  assert.deepEqual(host.activeIds, []);
  assert.deepEqual(host.log.messages("error"), ["cannot clean up after a failed start"]);
  mend();
  assert.equal(host.folders().length, 1);
  host.crash();
  await host.serve();
  assert.equal(host.storedCount, 0);
  assert.deepEqual(host.folders(), []);
});

Deno.test("start: the folder goes before the record, so that a failed removal can be repeated", async () => {
  await using host = await JobHost.open();
  host.executor.failures.inject("submit");
  host.store.failures.inject("delete");
  await assert.rejects(host.start(), /injected failure of submit/);
  assert.equal(host.storedCount, 1);
  assert.deepEqual(host.folders(), []);
});

Deno.test("start: a record that cannot be stored as running is stored later, and the job is not lost", async () => {
  for (const operation of ["update", "synced"] as const) {
    await using host = await JobHost.open();
    host.store.failures.inject(operation);
    const started = host.start(requestOf(), { idempotencyKey: "k" });
    await soon("the job", () => host.activeIds.length === 1);
    const [id = ""] = host.activeIds;
    assert.equal((await host.manager.query(id)).record.state.kind, "running");
    assert.equal(host.manager.resolve(id.slice(0, 13)), id, "found by the beginning of its id");
    // A repeated Start waits as well, and must not take it for one that has failed.
    const repeated = host.start(requestOf(), { idempotencyKey: "k" });
    assert(
      !await isSettled(Promise.race([started, repeated])),
      "answered before it is on the disk",
    );
    host.clock.advance(1000);
    await soon("another attempt", () => attemptsOf(host, operation) === 2);
    await soon("its failure", () => host.clock.pendingMs.includes(1000));
    host.store.failures.clear();
    const attempts = host.store.calls.length;
    host.clock.advance(999);
    assert.equal(host.store.calls.length, attempts, "too early");
    host.clock.advance(1);
    assert.deepEqual(await Promise.all([started, repeated]), [id, id]);
    assert.equal(host.executor.submissions.length, 1);
    assert.equal(host.stored(id).state.kind, "running");
    await soon("the end of the attempts", () => host.clock.pendingMs.length === 0);
  }
});

function attemptsOf(host: JobHost, operation: "update" | "synced"): number {
  return host.store.calls.filter((call) => call === operation).length;
}

Deno.test("start: it is answered when the disk has its record, and waits for a stuck one", async () => {
  await using host = await JobHost.open();
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const started = host.start();
  await soon("the sync", () => host.store.calls.includes("synced"));
  assert(!await isSettled(started));
  gate.resolve();
  assert.equal(host.stored(await started).state.kind, "running");
});

Deno.test("start: a job whose record a read-only or broken disk refuses is killed, and that is told", async () => {
  for (const error of REFUSING_DISK) {
    await using host = await JobHost.open();
    host.store.failures.inject("update", { error });
    await assertJobError(host.start(), "precondition", /killed again.*refuses to be written/);
    assert.equal(host.storedCount, 0);
    assert.deepEqual(host.activeIds, []);
  }
});

Deno.test("a record that cannot be stored is told once, and again when it is stored", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.store.failures.inject("update", { error: REFUSING_DISK[0]! });
  host.executor.end(id);
  for (let attempt = 2; attempt < 5; attempt++) {
    await soon("an attempt", () => attemptsOf(host, "update") === attempt);
    host.clock.advance(1000);
  }
  const told = "cannot store a job's record: it is tried again every second";
  assert.deepEqual(host.log.messages("error"), [told]);
  host.store.failures.clear();
  await soon("the last failed attempt", () => host.clock.pendingMs.includes(1000));
  host.clock.advance(1000);
  await soon("the end", () => host.log.messages("info").includes("a job's record is stored now"));
  assert.equal(host.stored(id).state.kind, "exited");
});

Deno.test("start: a job whose record the full disk refuses is killed, and its start is taken back", async () => {
  for (const error of FULL_DISK) {
    for (const operation of ["update", "synced"] as const) {
      await using host = await JobHost.open({
        bounds: { ...NO_BOUNDS, maxJobs: 1, maxJobsPerUser: 1 },
      });
      host.store.failures.inject(operation, { error });
      const started = host.start(requestOf({ title: "t" }), { idempotencyKey: "k" });
      await assertJobError(started, "exhausted", /started and killed again: the disk .* is full/);
      const [launch] = host.executor.submissions;
      assert.deepEqual(host.executor.calls.slice(1), [
        `submit ${launch?.jobId}`,
        `kill ${launch?.jobId}`,
      ]);
      assert.equal(host.storedCount, 0);
      assert.deepEqual(host.folders(), []);
      assert.deepEqual(host.activeIds, []);
      await assertJobError(host.manager.query(launch!.jobId), "not-found", /No job has the id/);
      host.store.failures.clear();
      // Nothing is stored of it any more, and neither its place, its name nor its key is taken.
      host.clock.advance(1e6);
      await turn();
      assert.equal(host.storedCount, 0);
      const id = await host.start(requestOf({ title: "t" }), { idempotencyKey: "k" });
      assert.notEqual(id, launch?.jobId);
      assert.deepEqual(host.activeIds, [id]);
    }
  }
});

Deno.test("start: where the record of a killed job cannot be removed, a repeated start begins anew", async () => {
  const [error] = FULL_DISK;
  await using host = await JobHost.open();
  for (const operation of ["update", "delete"] as const) {
    host.store.failures.inject(operation, error === undefined ? {} : { error });
  }
  await assertJobError(host.start(requestOf(), { idempotencyKey: "k" }), "exhausted", /is full/);
  assert.equal(host.storedCount, 1);
  host.store.failures.clear();
  const id = await host.start(requestOf(), { idempotencyKey: "k" });
  assert.equal(host.storedCount, 1);
  assert.equal(host.stored(id).state.kind, "running");
});

Deno.test("idempotency: an owner's second start with a key is answered with the first one's job", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf(), { idempotencyKey: "k" });
  assert.equal(await host.start(requestOf(), { idempotencyKey: "k" }), id);
  assert.notEqual(await host.start(requestOf(), { idempotencyKey: "K" }), id);
  assert.notEqual(await host.start(requestOf(), { owner: "bob", idempotencyKey: "k" }), id);
  assert.notEqual(await host.start(), await host.start());
  assert.equal(host.executor.submissions.length, 5);
});

Deno.test("idempotency: also after the job has ended, and by another server", async () => {
  await using host = await JobHost.open();
  const request = requestOf({ labels: { a: "1", b: "2" } }, { limits: { memoryBytes: 2 ** 21 } });
  const id = await host.start(request, { idempotencyKey: "k" });
  await host.end(id);
  assert.equal(await host.start(request, { idempotencyKey: "k" }), id);
  host.crash();
  await host.serve();
  assert.equal(await host.start(request, { idempotencyKey: "k" }), id);
  const sameLabels = requestOf({ labels: { b: "2", a: "1" } }, { limits: request.limits });
  assert.equal(await host.start(sameLabels, { idempotencyKey: "k" }), id);
  // The server's limits may have changed: the request is the same.
  host.limitFile("cpu", "10%");
  assert.equal(await host.start(request, { idempotencyKey: "k" }), id);
  assert.deepEqual(host.executor.submissions, []);
});

Deno.test("idempotency: a key that was used for something else is refused, whatever differs", async () => {
  await using host = await JobHost.open();
  const limits = { memoryBytes: 2 ** 21 };
  const command = { name: "echo", args: ["a", "b"] };
  const base = requestOf({ secretsDigest: "aa" }, { command, limits });
  const id = await host.start(base, { idempotencyKey: "k" });
  const settings: Partial<JobSettings>[] = [
    { user: "bob" },
    { workingDirectory: "/srv" },
    { umask: 0 },
    { timeoutMs: 1 },
    { stopSignal: "INT" },
    { graceMs: 0 },
    { isolation: { ...DEFAULT_SETTINGS.isolation, noNetwork: true } },
    { title: "t" },
    { labels: { a: "" } },
    { secretsDigest: "bb" },
    { secretsDigest: "" },
  ];
  const others = [
    ...settings.map((changed) => ({ ...base, settings: { ...base.settings, ...changed } })),
    { ...base, command: { ...command, name: "Echo" } },
    { ...base, command: { ...command, args: ["a b"] } },
    { ...base, command: { ...command, args: ["a", "b", ""] } },
    { ...base, limits: {} },
    { ...base, limits: { memoryBytes: 2 ** 22 } },
    { ...base, limits: { ...limits, processes: 1 } },
  ];
  for (const other of others) {
    await assertJobError(
      host.start(other, { idempotencyKey: "k" }),
      "precondition",
      /idempotency key was used for another command, or with other options/,
    );
  }
  assert.deepEqual(host.activeIds, [id]);
});

Deno.test("idempotency: two starts at once are one", async () => {
  await using host = await JobHost.open();
  const gate = Promise.withResolvers<void>();
  host.executor.onSubmit = () => gate.promise;
  const starts = [1, 2, 3].map(() => host.start(requestOf(), { idempotencyKey: "k" }));
  const other = host.start(requestOf({ umask: 0 }), { idempotencyKey: "k" });
  const refused = assertJobError(other, "precondition", /was used for another command/);
  await soon("the launch", () => host.executor.submissions.length === 1);
  gate.resolve();
  const ids = await Promise.all(starts);
  await refused;
  assert.equal(new Set(ids).size, 1);
  assert.equal(host.executor.submissions.length, 1);
});

Deno.test("idempotency: where the first of two fails, the second is an attempt of its own", async () => {
  await using host = await JobHost.open();
  host.executor.failures.inject("submit", { times: 1 });
  const [first, second] = await Promise.allSettled([
    host.start(requestOf(), { idempotencyKey: "k" }),
    host.start(requestOf(), { idempotencyKey: "k" }),
  ]);
  assert.equal(first?.status, "rejected");
  assert.equal(second?.status, "fulfilled");
  assert.equal(host.executor.submissions.length, 2);
  assert.equal(host.storedCount, 1);
});

Deno.test("idempotency: a start whose clean-up failed is not answered with, but started anew", async () => {
  await using host = await JobHost.open();
  host.executor.failures.inject("submit", { times: 1 });
  host.store.failures.inject("delete");
  await assert.rejects(host.start(requestOf(), { idempotencyKey: "k" }));
  await assert.rejects(host.start(requestOf(), { idempotencyKey: "k" }), /failure of delete/);
  host.store.failures.clear();
  const id = await host.start(requestOf(), { idempotencyKey: "k" });
  assert.deepEqual(host.activeIds, [id]);
  assert.equal(host.storedCount, 1);
});

Deno.test("bounds: a job counts once from its start's beginning to its end", async () => {
  await using host = await JobHost.open({
    bounds: { ...NO_BOUNDS, maxJobs: 2, maxJobsPerUser: 2 },
  });
  const gate = Promise.withResolvers<void>();
  host.executor.onSubmit = () => gate.promise;
  const starts = [host.start(), host.start()];
  await assertJobError(host.start(), "exhausted", /alice has 2 jobs running/);
  gate.resolve();
  const [one] = await Promise.all(starts);
  await assertJobError(host.start(), "exhausted", /--max-jobs-per-user/);
  await assertJobError(host.start(requestOf(), { owner: "bob" }), "exhausted", /--max-jobs /);
  await host.end(one!);
  await host.start(requestOf(), { owner: "bob" });
});

Deno.test("bounds: while the start of a job is stored, it is not counted twice", async () => {
  await using host = await JobHost.open({
    bounds: { ...NO_BOUNDS, maxJobs: 2, maxJobsPerUser: 2 },
  });
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const first = host.start();
  await soon("the job", () => host.activeIds.length === 1);
  const second = host.start();
  await soon("the second one", () => host.activeIds.length === 2);
  gate.resolve();
  await Promise.all([first, second]);
});

Deno.test("bounds: a start that failed takes no room; nor does a job whose end cannot be stored", async () => {
  await using host = await JobHost.open({
    bounds: { ...NO_BOUNDS, maxJobs: 1, maxJobsPerUser: 1 },
  });
  host.executor.failures.inject("submit", { times: 3 });
  for (let index = 0; index < 3; index++) await assert.rejects(host.start(), /failure of submit/);
  const id = await host.start(requestOf({ title: "t" }));
  host.store.failures.inject("update");
  await host.end(id);
  host.store.failures.clear();
  await host.start(requestOf({ title: "t" }));
});

Deno.test("bounds: a job without processes takes no room while a stuck disk keeps its end back", async () => {
  const gate = Promise.withResolvers<void>();
  await using host = await JobHost.open({
    bounds: { ...NO_BOUNDS, maxJobs: 1, maxJobsPerUser: 1 },
    syncOutput: () => gate.promise,
  });
  const id = await host.start(requestOf({ title: "t", timeoutMs: 9000 }));
  host.executor.end(id);
  await soon("its timers end", () => host.clock.pendingMs.length === 0);
  assert.equal((await host.manager.query(id)).record.state.kind, "running", "told too early");
  const next = await host.start(requestOf({ title: "t" }));
  host.executor.end(next);
  gate.resolve();
  await Promise.all([host.manager.wait(id), host.manager.wait(next)]);
});

Deno.test("names: no two jobs of a user that run have one, nor two that are being started", async () => {
  await using host = await JobHost.open();
  const gate = Promise.withResolvers<void>();
  host.executor.onSubmit = () => gate.promise;
  const first = host.start(requestOf({ title: "nightly" }));
  const refused = /a job of yours with the name nightly is running/;
  await assertJobError(host.start(requestOf({ title: "nightly" })), "precondition", refused);
  // Another user neither learns of it, nor is kept from the name.
  const bobs = host.start(requestOf({ title: "nightly" }), { owner: "bob" });
  const other = host.start(requestOf({ title: "Nightly" }));
  gate.resolve();
  const id = await first;
  await Promise.all([other, bobs]);
  await assertJobError(host.start(requestOf({ title: "nightly" })), "precondition", refused);
  await host.end(id);
  await host.start(requestOf({ title: "nightly" }));
});

Deno.test("start: tells that it begins before anything runs, and not where an earlier job is the answer", async () => {
  await using host = await JobHost.open();
  const seen: unknown[] = [];
  host.executor.onSubmit = () => Promise.resolve(void seen.push("submit"));
  const options = {
    owner: "alice",
    idempotencyKey: "key",
    onBegin: (id: string) => void seen.push(id),
  };
  const id = await host.manager.start(requestOf(), options);
  assert.deepEqual(seen, [id, "submit"]);
  assert.equal(await host.manager.start(requestOf(), options), id);
  assert.deepEqual(seen, [id, "submit"]);
});

Deno.test("stop, signal, remove: tell that they begin only where they do something", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  const seen: string[] = [];
  const begin = (what: string) => () => void seen.push(what);
  await assert.rejects(host.manager.remove(id, {}, begin("remove")));
  await host.manager.signal(id, "HUP", {}, begin("signal"));
  await host.end(id);
  await assert.rejects(host.manager.signal(id, "HUP", {}, begin("signal")));
  await assert.rejects(host.manager.stop(id, { graceMs: 0 }, begin("stop")));
  await host.manager.remove(id, {}, begin("remove"));
  await assert.rejects(host.manager.remove(id, {}, begin("remove")));
  assert.deepEqual(seen, ["signal", "remove"]);
});
