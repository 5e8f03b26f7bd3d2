import { strict as assert } from "node:assert";
import { isIdPrefix, isJobId } from "../../common/job_id.ts";
import { JobError } from "../../lib/errors.ts";
import type { JobQuery } from "../../lib/job/list.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { exited } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, recordOf, requestOf, soon } from "../support/job_host.ts";

const ENDED = { kind: "lost", pid: 1, startedAtMs: 1, reason: "x", endedAtMs: 2 } as const;

function assertUnresolved(
  host: JobHost,
  text: string,
  expected: { kind: string; message: RegExp },
  isVisible?: (owner: string) => boolean,
): void {
  assert.throws(() => host.manager.resolve(text, isVisible), (error) => {
    assert(error instanceof JobError);
    assert.equal(error.kind, expected.kind, text);
    assert.match(error.message, expected.message);
    return true;
  }, text);
}

const NOT_FOUND = { kind: "not-found", message: /No job has the id/ };

const ALL: JobQuery = {
  states: [],
  owner: undefined,
  labels: {},
  startedAfterMs: 0,
  startedBeforeMs: Infinity,
  pageSize: 0,
  pageToken: "",
  withUsage: false,
};

Deno.test("isJobId: a UUID in lower case, and nothing that could leave a folder", () => {
  assert(isJobId("a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219"));
  for (
    const text of [
      "",
      "..",
      "A3C1E8B4-90F3-4C6A-AE2F-58D3F827B219",
      "a3c1e8b490f34c6aae2f58d3f827b219",
      "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219/",
      "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219\n",
      "xa3c1e8b4-90f3-4c6a-ae2f-58d3f827b219",
      "a3c1e8b4-90f3-4c6a-58d3f827b219",
    ]
  ) assert(!isJobId(text), text);
});

Deno.test("isIdPrefix: 4 to 36 characters of an id", () => {
  const id = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";
  for (const length of [4, 5, 8, 9, 35, 36]) assert(isIdPrefix(id.slice(0, length)), `${length}`);
  for (const text of ["", "a", "a3", "a3c", `${id}0`, "-3c1", "a3cg", "A3C1", "a3c%", "a3c_"]) {
    assert(!isIdPrefix(text), text);
  }
});

Deno.test("resolve: an id, a name, the beginning of an id, of running and of ended jobs", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf({ title: "nightly" }));
  const resolvesTo = () => {
    for (const text of [id, "nightly", id.slice(0, 4), id.slice(0, 9), id.slice(0, 35)]) {
      assert.equal(host.manager.resolve(text), id, text);
    }
  };
  resolvesTo();
  await host.end(id);
  resolvesTo();
  for (
    const text of ["", "night", "Nightly", id.slice(0, 3), `${id}0`, id.toUpperCase(), "%", "../"]
  ) {
    assertUnresolved(host, text, NOT_FOUND);
  }
});

Deno.test("resolve: a beginning that several ids share is refused, unless the caller may see one only", async () => {
  await using host = await JobHost.open();
  const rest = "-90f3-4c6a-ae2f-58d3f827b219";
  host.store.insert(recordOf(ENDED, { id: `aaaa0000${rest}`, owner: "alice" }));
  host.store.insert(recordOf(ENDED, { id: `aaaa0001${rest}`, owner: "bob" }));
  host.store.insert(recordOf(ENDED, { id: `aaaaffff${rest}`, owner: "bob" }));
  host.store.insert(recordOf(ENDED, { id: `aaab0000${rest}`, owner: "alice" }));
  const several = { kind: "invalid", message: /More than one job's id begins with aaaa;/ };
  assertUnresolved(host, "aaaa", several);
  assertUnresolved(host, "aaaa", several, (owner) => owner === "bob");
  assert.equal(host.manager.resolve("aaaa", (owner) => owner === "alice"), `aaaa0000${rest}`);
  assert.equal(host.manager.resolve("aaaa0001"), `aaaa0001${rest}`);
  assert.equal(host.manager.resolve("aaab"), `aaab0000${rest}`);
  assertUnresolved(host, "aaac", NOT_FOUND);
  assertUnresolved(host, "aaa", NOT_FOUND);
  assertUnresolved(host, "aaaa0001", NOT_FOUND, (owner) => owner === "alice");
});

Deno.test("resolve: a job that is being started makes no beginning ambiguous", async () => {
  await using host = await JobHost.open();
  const rest = "-90f3-4c6a-ae2f-58d3f827b219";
  host.store.insert(recordOf(ENDED, { id: `aaaa0000${rest}` }));
  host.store.insert(recordOf({ kind: "starting" }, { id: `aaaa0001${rest}` }));
  assert.equal(host.manager.resolve("aaaa"), `aaaa0000${rest}`);
  assertUnresolved(host, "aaaa0001", NOT_FOUND);
});

Deno.test("resolve: a name is the newest job's that has begun and that the caller may see", async () => {
  await using host = await JobHost.open();
  const settings = { ...DEFAULT_SETTINGS, title: "nightly" };
  const jobs = ([["alice", 1], ["alice", 2], ["bob", 3], ["carol", 4]] as const)
    .map(([owner, createdAtMs]) => recordOf(ENDED, { owner, createdAtMs, settings }));
  for (const record of jobs) host.store.insert(record);
  host.store.insert(recordOf({ kind: "starting" }, { createdAtMs: 5, settings }));
  const ids = jobs.map(({ id }) => id);
  const seenBy = (...owners: string[]) =>
    host.manager.resolve("nightly", (owner) => owners.includes(owner));
  assert.equal(host.manager.resolve("nightly"), ids[3]);
  assert.equal(seenBy("alice"), ids[1]);
  assert.equal(seenBy("alice", "bob"), ids[2]);
  assertUnresolved(host, "nightly", NOT_FOUND, () => false);
});

Deno.test("resolve: a name is the caller's own job's, whoever else has one with that name", async () => {
  await using host = await JobHost.open();
  const start = (owner: string) => host.start(requestOf({ title: "nightly" }), { owner });
  const of = (caller: string, ...others: string[]) =>
    host.manager.resolve("nightly", (owner) => [caller, ...others].includes(owner), caller);
  const alices = await start("alice");
  await host.end(alices);
  const bobs = await start("bob");
  assert.equal(of("alice", "bob"), alices, "a job of hers that has ended is hidden");
  assert.equal(of("bob", "alice"), bobs);
  const carols = await start("carol");
  assert.equal(of("bob", "alice", "carol"), bobs);
  assert.equal(of("dave", "bob"), bobs);
  const several = {
    kind: "invalid",
    message: /More than one user runs a job with the name nightly/,
  };
  assertUnresolved(host, "nightly", several);
  await host.end(carols);
  assert.equal(host.manager.resolve("nightly"), bobs, "a newer one that has ended has its place");
});

Deno.test("resolve: a job that the caller may not see is not there, by whatever it is called", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf({ title: "secret" }));
  for (const text of [id, "secret", id.slice(0, 8)]) {
    assertUnresolved(host, text, NOT_FOUND, (owner) => owner !== "alice");
  }
});

Deno.test("query: a running job has its counters of now, an ended one those on record", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await host.print(id, "text");
  const view = await host.manager.query(id);
  assert.deepEqual(view.usage, { processes: 1 });
  assert.equal(view.outputBytes, 4);
  await host.end(id, { usage: { cpuUsec: 9 } });
  assert.deepEqual((await host.manager.query(id)).usage, { cpuUsec: 9 });
  assert.equal(host.executor.calls.filter((call) => call.startsWith("usages")).length, 1);
  assert.equal(view.record.state.kind, "running", "what was handed out has changed");
});

Deno.test("query: a job that ends while its counters are read is answered as ended", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.onUsages = () => host.end(id, { usage: { cpuUsec: 9 } });
  const { record, usage } = await host.manager.query(id);
  assert.equal(record.state.kind, "exited");
  assert.deepEqual(usage, { cpuUsec: 9 });
});

Deno.test("query: a job that is removed while its counters are read is answered as it was", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.onUsages = async () => {
    await host.end(id);
    await host.manager.remove(id);
  };
  const { record, outputBytes } = await host.manager.query(id);
  assert.equal(record.id, id);
  assert.equal(outputBytes, 0);
  await assertJobError(host.manager.query(id), "not-found", /No job has the id/);
});

Deno.test("query: counters that cannot be read fail the call, and change nothing", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  host.executor.failures.inject("usages", { times: 2 });
  await assert.rejects(host.manager.query(id), /injected failure of usages/);
  await assert.rejects(
    host.manager.list({ ...ALL, withUsage: true }),
    /injected failure of usages/,
  );
  assert.equal((await host.manager.list(ALL)).jobs.length, 1, "asked for counters without need");
  assert.equal((await host.manager.query(id)).record.state.kind, "running");
});

Deno.test("wait: settles when the job has ended, and at once where it has", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  let hasEnded = false;
  const waited = host.manager.wait(id).then(() => hasEnded = true);
  await host.manager.query(id);
  assert(!hasEnded);
  host.executor.end(id);
  await waited;
  assert.equal(host.stored(id).state.kind, "exited");
  await host.manager.wait(id);
  await assertJobError(host.manager.wait(crypto.randomUUID()), "not-found", /No job has the id/);
});

Deno.test("output: readers of a job that runs share one log, and come to its end", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  const output = host.manager.output(id);
  assert.equal(host.manager.output(id), output);
  await host.print(id, "one ");
  const reading = new AbortController();
  let text: string | undefined;
  const read = Array.fromAsync(output.read({ follow: true }, reading.signal)).then((chunks) => {
    text = new TextDecoder().decode(Uint8Array.from(chunks.flatMap(({ bytes }) => [...bytes])));
  });
  try {
    await host.print(id, "two");
    await host.end(id);
    await soon("the end of the stream", () => text !== undefined);
    assert.equal(text, "one two");
  } finally {
    reading.abort();
    await read;
  }
  assert.throws(() => host.manager.output(crypto.randomUUID()), /No job has the id/);
});

Deno.test("list: pages the newest first, each job once, and says where the last page is", async () => {
  await using host = await JobHost.open();
  const ids = Array.from({ length: 5 }, (_, index) => {
    // Two in each millisecond: the ids settle their order.
    const record = recordOf(ENDED, { createdAtMs: 10 + Math.floor(index / 2) });
    host.store.insert(record);
    return record;
  }).sort((one, two) => two.createdAtMs - one.createdAtMs || (one.id < two.id ? 1 : -1))
    .map(({ id }) => id);
  const pages: string[][] = [];
  let pageToken = "";
  do {
    const page = await host.manager.list({ ...ALL, pageSize: 2, pageToken });
    pages.push(page.jobs.map(({ record }) => record.id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(pages, [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
  const exact = await host.manager.list({ ...ALL, pageSize: 5 });
  assert.equal(exact.nextPageToken, "");
});

Deno.test("list: filters by state, owner, labels and time, bounds included as documented", async () => {
  await using host = await JobHost.open();
  const labelled = { ...DEFAULT_SETTINGS, labels: { team: "x", "a.b/c": "1" } };
  const ended = recordOf({ pid: 1, startedAtMs: 1, ...exited() }, {
    createdAtMs: 10,
    owner: "bob",
  });
  const lost = recordOf(ENDED, { createdAtMs: 20, settings: labelled });
  for (const record of [ended, lost]) host.store.insert(record);
  const running = await host.start(requestOf({ labels: { team: "y" } }));
  const find = async (query: Partial<JobQuery>) =>
    (await host.manager.list({ ...ALL, ...query })).jobs.map(({ record }) => record.id);
  assert.deepEqual(await find({}), [running, lost.id, ended.id]);
  assert.deepEqual(await find({ states: ["running", "stopping"] }), [running]);
  assert.deepEqual(await find({ states: ["running", "lost"] }), [running, lost.id]);
  assert.deepEqual(await find({ owner: "bob" }), [ended.id]);
  assert.deepEqual(await find({ labels: { team: "x" } }), [lost.id]);
  assert.deepEqual(await find({ labels: { team: "x", "a.b/c": "1" } }), [lost.id]);
  assert.deepEqual(await find({ labels: { team: "x", "a.b/c": "2" } }), []);
  assert.deepEqual(await find({ failedOnly: true }), [lost.id]);
  assert.deepEqual(await find({ failedOnly: true, states: ["exited"] }), []);
  const failed = recordOf({ pid: 1, startedAtMs: 1, ...exited({ exitCode: 3 }) }, {
    createdAtMs: 5,
  });
  host.store.insert(failed);
  assert.deepEqual(await find({ failedOnly: true }), [lost.id, failed.id]);
  assert.deepEqual(await find({ failedOnly: true, pageSize: 1 }), [lost.id]);
  const builds = recordOf(ENDED, {
    createdAtMs: 4,
    settings: { ...DEFAULT_SETTINGS, queue: { queue: "builds" } },
  });
  const night = recordOf({ pid: 1, startedAtMs: 1, ...exited() }, {
    createdAtMs: 3,
    settings: { ...DEFAULT_SETTINGS, queue: { queue: "night" } },
  });
  for (const record of [builds, night]) host.store.insert(record);
  assert.deepEqual(await find({ queue: "builds" }), [builds.id]);
  assert.deepEqual(await find({ queue: "night", failedOnly: true }), []);
  assert.deepEqual(await find({ queue: "none" }), []);
  for (const record of [failed, builds, night]) host.store.delete(record.id);
  assert.deepEqual(await find({ startedAfterMs: 20 }), [running, lost.id]);
  assert.deepEqual(await find({ startedAfterMs: 21 }), [running]);
  assert.deepEqual(await find({ startedBeforeMs: 20 }), [ended.id]);
  assert.deepEqual(await find({ startedBeforeMs: 21 }), [lost.id, ended.id]);
});

Deno.test("list: a page of failed jobs is full, however few they are among many", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 450; index++) {
    const ending = exited({ exitCode: index % 150 === 0 ? 1 : 0 });
    host.store.insert(recordOf({ pid: 1, startedAtMs: 1, ...ending }, { createdAtMs: index + 1 }));
  }
  const page = await host.manager.list({ ...ALL, failedOnly: true, pageSize: 2 });
  assert.deepEqual(page.jobs.map(({ record }) => record.createdAtMs), [301, 151]);
  const pageToken = page.nextPageToken;
  const last = await host.manager.list({ ...ALL, failedOnly: true, pageSize: 2, pageToken });
  assert.deepEqual(last.jobs.map(({ record }) => record.createdAtMs), [1]);
  assert.equal(last.nextPageToken, "");
});

Deno.test("list: a token that no page had, and a name that no label can have, are refused", async () => {
  await using host = await JobHost.open();
  const id = crypto.randomUUID();
  for (const pageToken of ["x", `1.${id}x`, `1${id}`, `.${id}`, `-1.${id}`, `1.`, `1.'; DROP`]) {
    await assertJobError(host.manager.list({ ...ALL, pageToken }), "invalid", /page token/);
  }
  for (const name of ["", '"', "a b", "-a", "x".repeat(64)]) {
    await assertJobError(
      host.manager.list({ ...ALL, labels: { [name]: "" } }),
      "invalid",
      /is not a valid label name/,
    );
  }
  const labels = Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`l${index}`, ""]));
  await assertJobError(host.manager.list({ ...ALL, labels }), "invalid", /more than 32 labels/);
});

Deno.test("list: a search whose caller has gone ends at its next turn", async () => {
  await using host = await JobHost.open();
  for (let index = 0; index < 1200; index++) host.store.insert(recordOf(ENDED, { createdAtMs: 2 }));
  const caller = new AbortController();
  const search = host.manager.list({ ...ALL, owner: "bob" }, caller.signal);
  caller.abort(new JobError("unavailable", "gone"));
  await assertJobError(search, "unavailable", /gone/);
});

Deno.test("list: looks past jobs that do not match, however many", async () => {
  await using host = await JobHost.open();
  const wanted = recordOf(ENDED, { createdAtMs: 1, owner: "bob" });
  host.store.insert(wanted);
  for (let index = 0; index < 1200; index++) host.store.insert(recordOf(ENDED, { createdAtMs: 2 }));
  const { jobs, nextPageToken } = await host.manager.list({ ...ALL, owner: "bob" });
  assert.deepEqual(jobs.map(({ record }) => record.id), [wanted.id]);
  assert.equal(nextPageToken, "");
});

Deno.test("list: a page ends early where its records are large, and the next one goes on", async () => {
  await using host = await JobHost.open();
  const command = { name: "echo", args: ["x".repeat(1024 ** 2)] };
  const ids = [5, 4, 3, 2, 1].map((createdAtMs) => {
    const record = recordOf(ENDED, { createdAtMs, command });
    host.store.insert(record);
    return record.id;
  });
  const first = await host.manager.list(ALL);
  assert.deepEqual(first.jobs.map(({ record }) => record.id), ids.slice(0, 2));
  const second = await host.manager.list({ ...ALL, pageToken: first.nextPageToken });
  assert.deepEqual(second.jobs.map(({ record }) => record.id), ids.slice(2, 4));
});
