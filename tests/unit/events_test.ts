/** What happens to jobs, told from the journal: each event once, to whom may see it. */
import { strict as assert } from "node:assert";
import { DatabaseSync } from "node:sqlite";
import type { EventQuery, EventsPage } from "../../lib/job/events.ts";
import { JobHost, requestOf, soon } from "../support/job_host.ts";

const ALL: EventQuery = {
  after: undefined,
  sinceMs: 0,
  untilMs: Infinity,
  jobId: undefined,
  labels: {},
  follow: true,
  owners: () => Promise.resolve(() => true),
};

/** Everything from the beginning of the journal on. */
const PAST: EventQuery = { ...ALL, sinceMs: 1, follow: false };

/** Events as texts, until the signal is aborted or there are no more. */
function watch(host: JobHost, query: Partial<EventQuery> = {}) {
  const ended = new AbortController();
  const told: string[] = [];
  const pages: EventsPage[] = [];
  const names = new Map<string, string>();
  const done = (async () => {
    for await (const page of host.manager.events({ ...ALL, ...query }, ended.signal)) {
      pages.push(page);
      if (page.missed) told.push("missed");
      for (const { kind, jobId, by } of page.events) {
        if (!names.has(jobId)) names.set(jobId, String.fromCharCode(97 + names.size));
        told.push(`${kind} ${names.get(jobId)} ${by}`.trimEnd());
      }
    }
  })();
  return { told, pages, done, end: () => (ended.abort(), done) };
}

async function past(host: JobHost, query: Partial<EventQuery> = {}): Promise<string[]> {
  const { told, done } = watch(host, { ...PAST, ...query });
  await done;
  return told;
}

Deno.test("events: a job is started, stopped, ends and is removed, each told once and when the disk has it", async () => {
  await using host = await JobHost.open();
  const { told, pages, end } = watch(host);
  await soon("the place is told at once", () => pages.length === 1);
  const id = await host.start();
  await soon("its start is told", () => told.includes("started a alice"));
  const change = { fromFiles: false, limits: { memoryBytes: 2 ** 30 }, reset: new Set<never>() };
  await host.manager.update(id, change, { by: "erin" });
  await soon("its new limits are told", () => told.includes("updated a erin"));
  const stopped = host.manager.stop(id, { stoppedBy: "bob" });
  // A second one only brings the end forward.
  const again = host.manager.stop(id, { stoppedBy: "carol", graceMs: 0 });
  await soon("that it is being stopped is told", () => told.includes("stopping a bob"));
  host.executor.end(id);
  await Promise.all([stopped, again]);
  await host.manager.remove(id, { by: "dave" });
  await soon("its removal is told", () => told.includes("removed a dave"));
  assert.deepEqual(told, [
    "started a alice",
    "updated a erin",
    "stopping a bob",
    "ended a bob",
    "removed a dave",
  ]);
  await end();
  // A reader that comes to them late is told them all the same.
  assert.deepEqual(await past(host), [
    "started a alice",
    "updated a erin",
    "stopping a bob",
    "ended a bob",
    "removed a dave",
  ]);
});

Deno.test("events: what the disk does not have is not told", async () => {
  await using host = await JobHost.open();
  const { told, end } = watch(host);
  const disk = Promise.withResolvers<void>();
  host.store.onSynced = () => disk.promise;
  const started = host.start();
  await soon("the state is stored", () => host.store.journal.added > host.store.journal.last);
  assert.deepEqual(told, []);
  assert.deepEqual(await past(host), []);
  disk.resolve();
  await started;
  await soon("it is told then", () => told.length === 1);
  await end();
});

Deno.test("events: a state that a full disk refuses is told once, when it is stored", async () => {
  await using host = await JobHost.open();
  const { told, end } = watch(host);
  const id = await host.start();
  host.store.failures.inject("update", { error: new Error("injected"), times: 1 });
  host.executor.end(id);
  await soon("it is tried again", () => host.clock.pendingMs.includes(1000));
  assert.deepEqual(told, ["started a alice"]);
  host.clock.advance(1000);
  await host.manager.wait(id);
  await soon("its end is told", () => told.includes("ended a"));
  assert.deepEqual(told, ["started a alice", "ended a"]);
  await end();
});

Deno.test("events: a reader that was cut off goes on after its cursor, also on the next server", async () => {
  await using host = await JobHost.open();
  const first = watch(host);
  const id = await host.start();
  await soon("its start is told", () => first.told.length === 1);
  const after = first.pages.at(-1)?.next;
  await first.end();
  host.crash();
  host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.begin(id, { pid: 8 }) });
  await host.serve();
  const second = watch(host, { after });
  await host.end(id);
  const other = await host.start();
  await soon("the rest is told", () => second.told.length === 2);
  await second.end();
  assert.deepEqual(second.told, ["ended a", "started b alice"]);
  assert.notEqual(other, id);
  // The whole is what both were told.
  assert.deepEqual(await past(host), ["started a alice", ...second.told]);
});

Deno.test("events: only those of the asked time, job, labels and owners are told, by the rules of the moment", async () => {
  await using host = await JobHost.open();
  const labels = { team: "one" };
  const labelled = await host.start(requestOf({ labels }));
  host.clock.advance(1000);
  const bobs = await host.start(requestOf(), { owner: "bob" });
  const startedMs = host.clock.nowMs();
  await host.end(labelled);
  assert.deepEqual(await past(host, { labels }), ["started a alice", "ended a"]);
  assert.deepEqual(await past(host, { labels: { team: "two" } }), []);
  assert.deepEqual(await past(host, { jobId: bobs }), ["started a bob"]);
  assert.deepEqual((await past(host, { untilMs: startedMs })).slice(0, 1), ["started a alice"]);
  assert.equal((await past(host, { sinceMs: startedMs })).includes("started a bob"), true);
  let owners = (owner: string): boolean => owner === "bob";
  const { told, end } = watch(host, {
    ...PAST,
    follow: true,
    owners: () => Promise.resolve(owners),
  });
  await soon("bob's are told", () => told.length === 1);
  owners = () => false;
  await host.end(bobs);
  const seen = watch(host, PAST);
  await seen.done;
  await end();
  assert.deepEqual(told, ["started a bob"]);
});

Deno.test("events: a reader whose place is not kept, or is another journal's, is told so, and goes on", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 3; index++) await host.end(await host.start());
  const { last } = host.store.journal;
  host.crash((file) => {
    using database = new DatabaseSync(file);
    database.exec(`DELETE FROM events WHERE number < ${last - 1}`);
  });
  await host.serve();
  const kept = ["started a alice", "ended a"];
  assert.deepEqual(await past(host, { after: last - 3 }), ["missed", ...kept]);
  assert.deepEqual(await past(host, { after: last - 2 }), kept);
  assert.deepEqual(await past(host), ["missed", ...kept]);
  const { told, pages, end } = watch(host, { after: last + 100 });
  await soon("the place is told", () => pages.length === 1);
  await host.start();
  await soon("the next event is told", () => told.length === 2);
  assert.deepEqual(told, ["missed", "started a alice"]);
  await end();
});

Deno.test("events: many are told in pages, in their order, and those of nobody's interest are passed over", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 250; index++) await host.end(await host.start());
  const { told, pages, done } = watch(host, PAST);
  await done;
  assert.equal(told.length, 500);
  assert.equal(new Set(told).size, 500);
  assert.equal(pages.length, 3);
  const none = watch(host, { ...PAST, labels: { no: "body" } });
  await none.done;
  // The first and the last one tell the reader's place.
  assert.deepEqual([none.told, none.pages.length], [[], 2]);
  assert.equal(none.pages.at(-1)?.next, host.store.journal.last);
});
