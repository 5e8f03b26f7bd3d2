/** Lists of jobs, names that stand for ids, and signals. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { assertStatus, type TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { endOf } from "../support/job_traces.ts";

/** The names of the jobs in a list, in its order. */
async function titles(
  client: TestClient,
  request: Parameters<TestClient["list"]>[0] = {},
): Promise<string[]> {
  return (await client.list(request)).jobs.map(({ title }) => title);
}

Deno.test("List: narrows by state, owner, label and time, the newest first", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  await server.pki.issue("carol", "writer");
  const carol = server.client("carol");
  const done = await client.startWith({
    name: "true",
    title: "done",
    labels: { team: "a", x: "1" },
  });
  await endOf(client, done);
  await client.startWith({ name: "sleep", args: ["600"], title: "first", labels: { team: "a" } });
  await carol.startWith({ name: "sleep", args: ["600"], title: "second", labels: { team: "b" } });
  assert.deepEqual(await titles(client), ["second", "first", "done"]);
  assert.deepEqual(await titles(client, { states: ["JOB_STATE_RUNNING"] }), ["second", "first"]);
  assert.deepEqual(await titles(client, { states: ["JOB_STATE_EXITED"] }), ["done"]);
  assert.deepEqual(await titles(client, { states: ["JOB_STATE_LOST"] }), []);
  assert.deepEqual(
    await titles(client, { states: ["JOB_STATE_EXITED", "JOB_STATE_RUNNING"] }),
    ["second", "first", "done"],
  );
  assert.deepEqual(await titles(client, { owner: "carol" }), ["second"]);
  assert.deepEqual(await titles(client, { owner: "nobody" }), []);
  assert.deepEqual(await titles(client, { labels: { team: "a" } }), ["first", "done"]);
  assert.deepEqual(await titles(client, { labels: { team: "a", x: "1" } }), ["done"]);
  assert.deepEqual(await titles(client, { labels: { team: "c" } }), []);
  assert.deepEqual(await titles(client, { labels: { missing: "" } }), []);
  const { startedAtMs } = await client.query("first");
  assert.deepEqual(await titles(client, { startedAfterMs: startedAtMs + 60_000 }), []);
  assert.deepEqual((await titles(client, { startedAfterMs: startedAtMs - 60_000 })).length, 3);
  assert.deepEqual(await titles(client, { startedBeforeMs: startedAtMs - 60_000 }), []);
  assert.deepEqual((await titles(server.client("bob"))).length, 3);
});

Deno.test("List: pages hold each job once, also when jobs come in between", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const ids: string[] = [];
  for (let index = 0; index < 7; index++) ids.push(await client.start("true"));
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await client.list({ pageSize: 3, pageToken });
    assert(page.jobs.length <= 3);
    seen.push(...page.jobs.map(({ jobID }) => jobID));
    pageToken = page.nextPageToken;
    await client.start("true");
  } while (pageToken !== "");
  assert.deepEqual(seen, ids.toReversed());
});

Deno.test("List: counters of running jobs are there when they are asked for", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (let index = 0; index < 3; index++) {
    await client.shell("x=$(head -c 3000000 /dev/zero | tr '\\0' x); echo up; sleep 600");
  }
  const jobs = (await client.list()).jobs;
  await Promise.all(jobs.map(({ jobID }) => client.untilOutput(jobID, /up/)));
  const plain = (await client.list()).jobs;
  assert(plain.every(({ usage }) => !usage?.memoryBytes));
  const counted = (await client.list({ withUsage: true })).jobs;
  for (const { usage } of counted) assert((usage?.memoryBytes ?? 0) > 2_000_000);
});

Deno.test("List: a job that is half removed keeps no other one from being listed", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const [gone, kept] = [await client.shell("echo x"), await client.shell("echo y")];
  for (const id of [gone, kept]) await client.wait(id);
  // As a server leaves it that dies in the middle of a Remove.
  await Deno.remove(join(server.logDir, "jobs", gone), { recursive: true });
  const sizes = (await client.list()).jobs.map(({ jobID, outputBytes }) => [jobID, outputBytes]);
  assert.deepEqual(sizes, [[kept, 2], [gone, 0]]);
  assert.equal((await client.query(gone)).outputBytes, 0);
  await client.remove(gone);
  assert.deepEqual((await client.list()).jobs.map(({ jobID }) => jobID), [kept]);
});

Deno.test("List: what is no token, state or label is refused", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  await client.start("true");
  for (const pageToken of ["x", "1", "1.", "-1.x", "1.' OR 1=1", "9".repeat(400)]) {
    await assertStatus(client.list({ pageToken }), status.INVALID_ARGUMENT, /page token/);
  }
  for (const name of ['"', "a b", '"]', "", "a\0", "'; DROP TABLE jobs; --"]) {
    await assertStatus(client.list({ labels: { [name]: "x" } }), status.INVALID_ARGUMENT, /label/);
  }
  await assertStatus(client.list({ states: [0] }), status.INVALID_ARGUMENT, /not a job state/);
  assert.deepEqual(await titles(client, { labels: { a: "' OR 1=1 --" } }), []);
  assert.deepEqual(await titles(client, { owner: "' OR 1=1 --" }), []);
  assert.equal((await client.list({ pageSize: 4_000_000_000 })).jobs.length, 1);
});

Deno.test("names: stand for the newest job of that name, in every request", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const first = await client.startWith({ name: "true", title: "nightly" });
  await endOf(client, first);
  assert.equal((await client.query("nightly")).jobID, first);
  const second = await client.startWith({
    name: "sh",
    args: ["-c", "echo up; sleep 600"],
    title: "nightly",
  });
  assert.equal((await client.query("nightly")).jobID, second);
  await client.untilOutput("nightly", /up/);
  await assertStatus(
    client.startWith({ name: "true", title: "nightly" }),
    status.FAILED_PRECONDITION,
    /a job of yours with the name nightly is running/,
  );
  await client.signal("nightly", "TERM");
  assert.equal((await client.wait("nightly")).signal, 15);
  assert.match(server.log, new RegExp(`JobService/Signal"[^\\n]*"job":"${second}"`));
  await client.remove("nightly");
  assert.equal((await client.query("nightly")).jobID, first);
  await client.remove("nightly");
  await assertStatus(client.query("nightly"), status.NOT_FOUND, /No job has the id "nightly"/);
});

Deno.test("names: two starts at once with one name are one job", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const request = { name: "sleep", args: ["600"], title: "only" };
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => client.startWith(request)),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal((await client.list()).jobs.length, 1);
});

Deno.test("ids: may be shortened where they stay unique", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("true");
  assert.equal((await client.query(id.slice(0, 8))).jobID, id);
  assert.equal((await client.query(id.slice(0, 20))).jobID, id);
  for (const text of [id.slice(0, 3), `${id}0`, `${id.slice(0, 8)}%`, "____", "", " ", "-"]) {
    await assertStatus(client.query(text), status.NOT_FOUND);
  }
  // Of so many some begin alike with four letters: the birthday bound is near 256.
  const ids = [id];
  const isAmbiguous = () => new Set(ids.map((one) => one.slice(0, 4))).size < ids.length;
  while (!isAmbiguous() && ids.length < 1500) {
    ids.push(...await Promise.all(Array.from({ length: 20 }, () => client.start("true"))));
  }
  const begins = ids.map((one) => one.slice(0, 4)).sort();
  const twice = begins.find((begin, index) => begin === begins[index + 1]) ?? "";
  await assertStatus(client.query(twice), status.INVALID_ARGUMENT, /More than one job's id begins/);
});

Deno.test("Signal: reaches every process of a job, and no ended one", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.shell(
    "trap 'echo one' USR1; (trap 'echo two; exit' USR1; echo up; while :; do sleep 0.05; done) & " +
      "echo up; while :; do wait; sleep 0.05; done",
  );
  await client.untilOutput(id, /up\nup/);
  await client.signal(id, "sigusr1");
  await client.untilOutput(id, /one/);
  await client.untilOutput(id, /two/);
  for (const signal of ["", "WHAT", "9", "RTMIN", "KILL;reboot", "$(id)"]) {
    await assertStatus(client.signal(id, signal), status.INVALID_ARGUMENT, /is not a signal/);
  }
  await client.signal(id, "KILL");
  await endOf(client, id);
  await assertStatus(
    client.signal(id, "TERM"),
    status.FAILED_PRECONDITION,
    /Cannot signal job .* already exited/,
  );
});
