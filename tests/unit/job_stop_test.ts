import { strict as assert } from "node:assert";
import type { JobRecord } from "../../lib/model/record.ts";
import { exited, FAKE_PID } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, requestOf, soon } from "../support/job_host.ts";
import { isSettled } from "../support/settled.ts";

/** What was asked of the executor after the launches. */
function asked(host: JobHost): string[] {
  return host.executor.calls.filter((call) => !call.startsWith("submit") && call !== "adopt");
}

/** Waits until a job is being stopped, and the executor has been asked to end it. */
async function untilAsked(host: JobHost, count: number): Promise<void> {
  await soon("the executor is asked", () => asked(host).length === count);
}

async function untilEnded(host: JobHost, id: string): Promise<JobRecord> {
  await host.manager.wait(id);
  return host.stored(id);
}

Deno.test("stop: who stopped a job first stays on record, over the end and over a server", async () => {
  await using host = await JobHost.open({ graceMs: 10_000 });
  const id = await host.start();
  const first = host.manager.stop(id, { stoppedBy: "alice" });
  await untilAsked(host, 1);
  assert.equal(host.stored(id).stoppedBy, "alice");
  await Promise.all([first, host.manager.stop(id, { stoppedBy: "bob", graceMs: 0 })]);
  const { state, stoppedBy, timedOut } = host.stored(id);
  assert.deepEqual([state.kind, stoppedBy, timedOut], ["exited", "alice", undefined]);
});

Deno.test("stop: the stop signal, and SIGKILL exactly when the grace period is over", async () => {
  await using host = await JobHost.open({ graceMs: 10_000 });
  const id = await host.start();
  const beganMs = host.clock.nowMs();
  const stopped = host.manager.stop(id);
  await untilAsked(host, 1);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`]);
  assert.deepEqual(host.stored(id).state, {
    kind: "stopping",
    pid: FAKE_PID,
    startedAtMs: beganMs,
    killAtMs: beganMs + 10_000,
  });
  host.clock.advance(9_999);
  assert.equal(asked(host).length, 1);
  host.clock.advance(1);
  await stopped;
  assert.deepEqual(asked(host), [`terminate ${id} TERM`, `kill ${id}`]);
  assert.equal(host.stored(id).state.kind, "exited");
  assert.equal(host.stored(id).timedOut, undefined);
  assert.deepEqual(host.activeIds, []);
});

Deno.test("stop: a job that ends in its grace period is not killed, and no timer is left", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const stopped = host.manager.stop(id);
  await untilAsked(host, 1);
  host.executor.end(id, { exitCode: 3, endedAtMs: host.clock.nowMs() + 5 });
  await stopped;
  assert.deepEqual(host.stored(id).state, {
    ...exited({ exitCode: 3, endedAtMs: host.clock.nowMs() + 5 }),
    pid: FAKE_PID,
    startedAtMs: host.clock.nowMs(),
  });
  assert.deepEqual(host.clock.pendingMs, []);
  host.clock.advance(1e9);
  assert.equal(asked(host).length, 1);
});

Deno.test("stop: the job's own signal and grace period come before the server's, and a Stop's before both", async () => {
  await using host = await JobHost.open({ graceMs: 10_000 });
  const settings = { stopSignal: "INT", graceMs: 3000 } as const;
  const own = await host.start(requestOf(settings));
  const given = await host.start(requestOf(settings));
  const stops = [host.manager.stop(own), host.manager.stop(given, { graceMs: 20_000 })];
  await untilAsked(host, 2);
  assert.deepEqual(asked(host).sort(), [`terminate ${own} INT`, `terminate ${given} INT`].sort());
  assert.deepEqual(host.clock.pendingMs, [3000, 20_000]);
  host.clock.advance(20_000);
  await Promise.all(stops);
});

Deno.test("stop: a grace period of 0 kills at once, without the stop signal", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.manager.stop(id, { graceMs: 0 });
  assert.deepEqual(asked(host), [`kill ${id}`]);
});

Deno.test("stop: what cannot be stopped is refused, and nothing is sent", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await assertJobError(host.manager.stop(id, { graceMs: 3_600_001 }), "invalid", /above an hour/);
  assert.equal(host.stored(id).state.kind, "running");
  await host.end(id);
  await assertJobError(host.manager.stop(id), "precondition", /it has already exited/);
  await assertJobError(host.manager.stop(crypto.randomUUID()), "not-found", /No job has the id/);
  await assertJobError(host.manager.stop("../x"), "not-found", /No job has the id/);
  assert.deepEqual(asked(host), []);
});

Deno.test("stop: a second one makes the grace period shorter, and does not repeat the signal", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const killAtMs = () => {
    const { state } = host.stored(id);
    return state.kind === "stopping" ? state.killAtMs - host.clock.nowMs() : undefined;
  };
  const first = host.manager.stop(id, { graceMs: 60_000 });
  await untilAsked(host, 1);
  const second = host.manager.stop(id, { graceMs: 5000 });
  await soon("the shorter grace period", () => killAtMs() === 5000);
  await soon("its timer", () => host.clock.pendingMs[0] === 5000);
  assert.deepEqual(host.clock.pendingMs, [5000], "the longer timer is left");
  host.clock.advance(5000);
  await Promise.all([first, second]);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`, `kill ${id}`]);
});

Deno.test("stop: a second one never makes the grace period longer", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const stops = [host.manager.stop(id, { graceMs: 5000 })];
  await untilAsked(host, 1);
  const recorded = host.stored(id).state;
  stops.push(host.manager.stop(id, { graceMs: 60_000 }), host.manager.stop(id, { graceMs: 5000 }));
  await soon("the timer", () => host.clock.pendingMs.length === 1);
  assert.deepEqual(host.stored(id).state, recorded);
  assert.deepEqual(host.clock.pendingMs, [5000]);
  host.clock.advance(5000);
  await Promise.all(stops);
});

Deno.test("stop: a second one with 0 kills at once", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const first = host.manager.stop(id, { graceMs: 60_000 });
  await untilAsked(host, 1);
  await host.manager.stop(id, { graceMs: 0 });
  await first;
  assert.deepEqual(host.clock.pendingMs, []);
});

Deno.test("stop: on a stuck disk the stop signal and SIGKILL come at their times, and the record follows", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const stopped = host.manager.stop(id, { graceMs: 5000 });
  await untilAsked(host, 1);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`]);
  host.clock.advance(5000);
  await untilAsked(host, 2);
  assert.deepEqual(asked(host)[1], `kill ${id}`);
  assert(!await isSettled(stopped), "answered before the end is on record");
  assert.deepEqual(host.clock.pendingMs, [], "a kill is timed of a job that has no process");
  gate.resolve();
  await stopped;
  assert.equal(host.stored(id).state.kind, "exited");
});

Deno.test("stop: a second one on a stuck disk kills at once", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  const stops = [host.manager.stop(id, { graceMs: 60_000 })];
  await untilAsked(host, 1);
  stops.push(host.manager.stop(id, { graceMs: 0 }));
  await untilAsked(host, 2);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`, `kill ${id}`]);
  gate.resolve();
  await Promise.all(stops);
});

Deno.test("stop: a job that a kill has not ended is killed again, and the log says so", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.endsWhenKilled = false;
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await soon("the next kill is set", () => host.clock.pendingMs[0] === 5000);
  assert.deepEqual(host.log.messages("warn"), []);
  host.executor.endsWhenKilled = true;
  host.clock.advance(5000);
  await stopped;
  assert.deepEqual(asked(host), [`kill ${id}`, `kill ${id}`]);
  await soon("the warning", () => host.log.messages("warn").length > 0);
  assert.match(host.log.messages("warn").join(), /has not ended although it was killed/);
  assert.equal(
    host.log.entries.find(({ level }) => level === "warn")?.["processes"],
    "4194305 (D), 1 (R)",
  );
  assert.deepEqual(host.clock.pendingMs, []);
});

Deno.test("stop: a job that does not end is killed again also where nobody can tell what is left of it", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.endsWhenKilled = false;
  host.executor.failures.inject("remaining");
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await soon("the next kill is set", () => host.clock.pendingMs[0] === 5000);
  host.executor.endsWhenKilled = true;
  host.clock.advance(5000);
  await stopped;
  await soon("the warning", () => host.log.messages("warn").length > 0);
  assert.deepEqual(asked(host), [`kill ${id}`, `kill ${id}`]);
});

Deno.test("stop: many at once share one kill, and one that comes later sends another", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.endsWhenKilled = false;
  const gate = Promise.withResolvers<void>();
  host.executor.onKill = () => gate.promise;
  const stops = [host.manager.stop(id, { graceMs: 0 })];
  await untilAsked(host, 1);
  // However long it takes to send it.
  host.clock.advance(10_000);
  const stop = () => stops.push(host.manager.stop(id, { graceMs: 0 }));
  for (let count = 0; count < 50; count++) stop();
  gate.resolve();
  await soon("the next kill is set", () => host.clock.pendingMs[0] === 5000);
  assert.deepEqual(asked(host), [`kill ${id}`]);
  stop();
  await untilAsked(host, 2);
  await soon("the next kill is set", () => host.clock.pendingMs[0] === 5000);
  host.clock.advance(499);
  for (let count = 0; count < 50; count++) stop();
  assert.equal(asked(host).length, 2);
  host.executor.endsWhenKilled = true;
  // Set back, the clock must not keep a kill away.
  host.clock.advance(-3_600_000);
  stop();
  await Promise.all(stops);
  assert.deepEqual(asked(host), Array(3).fill(`kill ${id}`));
  assert.deepEqual(host.clock.pendingMs, []);
});

Deno.test("stop: a kill that fails is repeated until it succeeds", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.failures.inject("kill", { times: 2 });
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await untilAsked(host, 1);
  await soon("the next attempt is set", () => host.clock.pendingMs[0] === 500);
  host.clock.advance(500);
  await untilAsked(host, 2);
  await soon("the next attempt is set", () => host.clock.pendingMs[0] === 500);
  host.clock.advance(500);
  await stopped;
  assert.equal(asked(host).length, 3);
  assert.deepEqual(host.activeIds, []);
  assert.deepEqual(host.log.messages("error").length, 2);
});

Deno.test("stop: a kill that failed is not repeated once the job has ended", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.failures.inject("kill");
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await soon("the next attempt is set", () => host.clock.pendingMs.length === 1);
  host.executor.end(id);
  await stopped;
  assert.deepEqual(host.clock.pendingMs, []);
});

Deno.test("stop: a kill that fails after the job has ended is not repeated", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.failures.inject("kill");
  const gate = Promise.withResolvers<void>();
  host.executor.onKill = () => gate.promise;
  const stopped = host.manager.stop(id, { graceMs: 0 });
  await untilAsked(host, 1);
  host.executor.end(id);
  await host.manager.wait(id);
  gate.resolve();
  await stopped;
  assert.deepEqual(host.clock.pendingMs, []);
  assert.deepEqual(host.log.messages("error"), []);
});

Deno.test("stop: where the stop signal cannot be sent, SIGKILL comes all the same", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.failures.inject("terminate");
  const stopped = host.manager.stop(id);
  await untilAsked(host, 1);
  assert.deepEqual(host.log.messages("error"), ["cannot send a job its stop signal"]);
  host.clock.advance(10_000);
  await stopped;
  assert.equal(host.stored(id).state.kind, "exited");
});

Deno.test("stop: it is carried out, and recorded later, while the disk is full", async () => {
  for (const operation of ["update", "synced"] as const) {
    await using host = await JobHost.open();
    const id = await host.start();
    host.store.failures.inject(operation);
    const stopped = host.manager.stop(id, { graceMs: 0 });
    await stopped;
    assert.deepEqual(host.activeIds, []);
    // Its end is known before it is stored, and the job cannot be stopped again.
    assert.equal((await host.manager.query(id)).record.state.kind, "exited");
    await assertJobError(host.manager.stop(id), "precondition", /already exited/);
    host.store.failures.clear();
    host.clock.advance(1000);
    await soon("the record", () => host.store.endedTotals().count === 1);
    assert.equal(host.stored(id).state.kind, "exited");
    await soon("all timers have run", () => host.clock.pendingMs.length === 0);
  }
});

Deno.test("stop: a state that could not be stored never comes over a newer one", async () => {
  await using host = await JobHost.open();
  host.store.failures.inject("update", { times: 1 });
  const started = host.start();
  await soon("the job", () => host.activeIds.length === 1);
  const [id = ""] = host.activeIds;
  const stopped = host.manager.stop(id, { graceMs: 60_000 });
  await untilAsked(host, 1);
  assert.equal(await started, id);
  const updates = () => host.store.calls.filter((call) => call === "update").length;
  assert.equal(updates(), 2);
  host.clock.advance(1000);
  assert.equal(updates(), 2);
  assert.equal(host.stored(id).state.kind, "stopping");
  host.executor.end(id);
  await stopped;
});

Deno.test("stop: an end that could not be stored is found by the next server", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.store.failures.inject("update");
  await host.end(id, { exitCode: 7 });
  host.crash();
  host.executor.adoptions.set(id, {
    kind: "ended",
    begun: { pid: 9 },
    ending: exited({ exitCode: 7 }),
  });
  await host.serve();
  const { state } = host.stored(id);
  assert(state.kind === "exited" && state.exitCode === 7);
});

Deno.test("end: by itself it is recorded with what the executor says, never before its start", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const ending = { exitCode: 143, signal: 15, oomKilled: true, usage: { cpuUsec: 77 } };
  await host.end(id, { ...ending, endedAtMs: host.clock.nowMs() - 1 });
  assert.deepEqual(host.stored(id).state, {
    ...exited({ ...ending, endedAtMs: host.clock.nowMs() }),
    pid: FAKE_PID,
    startedAtMs: host.clock.nowMs(),
  });
  assert.deepEqual((await host.manager.query(id)).usage, { cpuUsec: 77 });
});

Deno.test("end: what the output takes on disk is recorded for retention", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.print(id, "x".repeat(10_000));
  await host.end(id);
  const { outputBytes } = host.store.endedTotals();
  assert(outputBytes >= 10_000 && outputBytes < 100_000, `${outputBytes}`);
});

Deno.test("end: an output that has gone does not keep the end from being recorded", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  Deno.removeSync(host.folderOf(id), { recursive: true });
  await host.end(id);
  assert.equal(host.stored(id).state.kind, "exited");
  assert.equal((await host.manager.query(id)).outputBytes, 0);
});

Deno.test("end: an executor that fails to tell it is asked again, as by a new server", async () => {
  for (const answer of ["ended", "running", "never-started"] as const) {
    await using host = await JobHost.open();
    const id = await host.start();
    const { executor } = host;
    executor.failToTellEnd(id, new Error("too many open files"));
    executor.failures.inject("adopt", { times: 1 });
    await soon("the first attempt is set", () => host.clock.pendingMs[0] === 1000);
    assert.deepEqual(host.activeIds, [id]);
    const ending = exited({ exitCode: 5 });
    if (answer === "ended") {
      executor.adoptions.set(id, { kind: "ended", begun: { pid: 1 }, ending });
    }
    if (answer === "running") {
      executor.adoptions.set(id, { kind: "tracked", ...executor.begin(id, { pid: 1 }) });
    }
    host.clock.advance(1000);
    await soon("the second attempt is set", () => host.clock.pendingMs[0] === 1000);
    host.clock.advance(1000);
    await soon("both", () => executor.adoptionRequests.length === 2);
    assert.equal(executor.adoptionRequests[1]?.phase, "begun");
    if (answer === "running") executor.end(id, { exitCode: 5 });
    const { state } = await untilEnded(host, id);
    if (answer === "never-started") assert.equal(state.kind, "lost");
    else assert(state.kind === "exited" && state.exitCode === 5);
    assert.deepEqual(host.activeIds, []);
  }
});

Deno.test("signal: is sent to a job that runs or is being stopped, and to no other", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.manager.signal(id, "USR1");
  assert.deepEqual(asked(host), [`signal ${id} USR1`]);
  const stopped = host.manager.stop(id);
  await untilAsked(host, 2);
  await host.manager.signal(id, "HUP");
  host.executor.failures.inject("signal", { times: 1 });
  await assert.rejects(host.manager.signal(id, "HUP"), /injected failure of signal/);
  assert.deepEqual(host.activeIds, [id]);
  host.executor.end(id);
  await stopped;
  await assertJobError(host.manager.signal(id, "HUP"), "precondition", /Cannot signal .* exited/);
  await assertJobError(
    host.manager.signal(crypto.randomUUID(), "HUP"),
    "not-found",
    /No job has the id/,
  );
});

Deno.test("signal, stop: for the main process alone, where that is asked for; SIGKILL is for all", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.manager.signal(id, "HUP", { mainOnly: true });
  const stopped = host.manager.stop(id, { graceMs: 100, mainOnly: true });
  await untilAsked(host, 2);
  assert.deepEqual(asked(host), [`signal ${id} HUP main`, `terminate ${id} TERM main`]);
  const { state } = host.stored(id);
  assert(state.kind === "stopping" && state.mainOnly, "the next server would ask all processes");
  host.clock.advance(100);
  await stopped;
  assert.equal(asked(host).at(-1), `kill ${id}`);
});

Deno.test("signal: one that reached nobody is an error that says why", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.reaches = false;
  await assertJobError(
    host.manager.signal(id, "HUP"),
    "precondition",
    /Cannot signal .* none of its processes is left in its control groups/,
  );
  assert.deepEqual(host.activeIds, [id]);
});

Deno.test("timeout: the job is stopped exactly then, and the record says why", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf({ timeoutMs: 60_000, graceMs: 100 }));
  host.clock.advance(59_999);
  assert.equal(host.stored(id).state.kind, "running");
  host.clock.advance(1);
  await untilAsked(host, 1);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`]);
  assert.equal(host.stored(id).timedOut, true);
  host.clock.advance(100);
  const { state, timedOut } = await untilEnded(host, id);
  assert.equal(state.kind, "exited");
  assert.equal(timedOut, true);
});

Deno.test("timeout: a stuck disk keeps neither its stop signal nor its kill back", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf({ timeoutMs: 60_000, graceMs: 100 }));
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => gate.promise;
  host.clock.advance(60_000);
  await untilAsked(host, 1);
  host.clock.advance(100);
  await untilAsked(host, 2);
  assert.deepEqual(asked(host), [`terminate ${id} TERM`, `kill ${id}`]);
  gate.resolve();
  assert.equal((await untilEnded(host, id)).timedOut, true);
});

Deno.test("timeout: one longer than a timer takes is waited for in full", async () => {
  await using host = await JobHost.open();
  const timeoutMs = 3 * (2 ** 31 - 1) + 5;
  const id = await host.start(requestOf({ timeoutMs, graceMs: 0 }));
  host.clock.advance(1);
  assert.equal(host.stored(id).state.kind, "running");
  host.clock.advance(timeoutMs - 2);
  assert.equal(host.stored(id).state.kind, "running");
  assert.deepEqual(host.clock.pendingMs, [1]);
  host.clock.advance(1);
  assert.equal((await untilEnded(host, id)).timedOut, true);
});

Deno.test("timeout: the longest that one timer takes needs no second one", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf({ timeoutMs: 2 ** 31 - 1, graceMs: 0 }));
  host.clock.advance(2 ** 31 - 2);
  assert.equal(host.stored(id).state.kind, "running");
  host.clock.advance(1);
  assert.equal((await untilEnded(host, id)).timedOut, true);
});

Deno.test("timeout: a job that ends or is stopped before is not timed out", async () => {
  await using host = await JobHost.open();
  const ended = await host.start(requestOf({ timeoutMs: 1000 }));
  await host.end(ended);
  assert.deepEqual(host.clock.pendingMs, []);
  const stopping = await host.start(requestOf({ timeoutMs: 1000, graceMs: 0 }));
  const stopped = host.manager.stop(stopping, { graceMs: 5000 });
  await untilAsked(host, 1);
  const recorded = host.stored(stopping);
  host.clock.advance(2000);
  assert.deepEqual(host.stored(stopping), recorded, "the job's own, shorter grace period holds");
  host.executor.end(stopping);
  await stopped;
  for (const id of [ended, stopping]) assert.equal(host.stored(id).timedOut, undefined);
  assert.deepEqual(asked(host), [`terminate ${stopping} TERM`]);
});
