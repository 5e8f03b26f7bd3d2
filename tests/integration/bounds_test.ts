/** Bounds on what users may take: who is over one hears its name, and nobody else feels it. */
// Attacks: what one caller may take from all.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { assertStatus } from "../support/client.ts";
import { testPki } from "../support/pki.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

let eveIssued: Promise<void> | undefined;

/** Another writer; her key is made once. */
function issueEve(): Promise<void> {
  return eveIssued ??= testPki().then((pki) => pki.issue("eve", "writer"));
}

const FLAGS = ["--max-jobs", "5", "--max-jobs-per-user", "3"];

Deno.test("bounds: a user's jobs at once, many starts at the same time included", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: FLAGS });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  const starts = await Promise.allSettled(
    Array.from({ length: 20 }, () => eve.start("sleep", "1000")),
  );
  const jobs = starts.flatMap((start) => start.status === "fulfilled" ? [start.value] : []);
  assert.equal(jobs.length, 3);
  for (const start of starts) {
    if (start.status === "fulfilled") continue;
    assert.equal(start.reason.code, status.RESOURCE_EXHAUSTED);
    assert.match(start.reason.details, /eve has 3 jobs running, .* --max-jobs-per-user allows/);
  }
  // Others are not concerned, and neither are jobs that end.
  assert.equal((await alice.wait(await alice.start("true"))).exitCode, 0);
  const [first = ""] = jobs;
  await eve.stop(first, 0);
  await eve.start("sleep", "1000");
  await assertStatus(eve.start("true"), status.RESOURCE_EXHAUSTED, /--max-jobs-per-user/);
});

Deno.test("bounds: all jobs at once, and the next server counts those it finds", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: FLAGS });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  for (const client of [alice, alice, alice, eve, eve]) await client.start("sleep", "1000");
  await assertStatus(eve.start("true"), status.RESOURCE_EXHAUSTED, /5 jobs .* --max-jobs allows/);
  await server.end("SIGKILL");
  await server.launch();
  const again = server.client("eve");
  await assertStatus(again.start("true"), status.RESOURCE_EXHAUSTED, /--max-jobs allows/);
});

Deno.test("bounds: a start that fails takes no place", async () => {
  await using server = await TestServer.start({ flags: ["--max-jobs", "1"] });
  const client = server.client();
  for (let time = 0; time < 3; time++) {
    await assertStatus(client.start("/nonexistent"), status.INVALID_ARGUMENT);
  }
  assert.equal((await client.wait(await client.start("true"))).exitCode, 0);
});

Deno.test("bounds: handshakes under way, and who waits meanwhile is served afterwards", async () => {
  await using server = await TestServer.start({ flags: ["--max-handshakes", "3"] });
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const silent = [await connect(), await connect(), await connect()];
  await until("one more to be closed", async () => {
    using another = await connect();
    return await another.read(new Uint8Array(1)).catch(() => null) === null;
  });
  await until("the log to tell", () => /3 handshakes are in progress/.test(server.log));
  for (const connection of silent) connection.close();
  const client = server.client();
  await until("a place to be free", () => client.start("true").catch(() => undefined));
});

Deno.test("bounds: a user's open calls, while others are served", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: ["--max-open-calls", "4"] });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  const job = await alice.shell("echo ready; exec sleep 1000");
  let open = 0;
  const streams = Array.from({ length: 4 }, () => {
    const stream = eve.raw.Stream({ jobID: job });
    stream.once("data", () => open++);
    // Cancelling them at the end is no failure.
    stream.on("error", () => {});
    return stream;
  });
  await until("all to be open", () => open === 4);
  for (let time = 0; time < 3; time++) {
    await assertStatus(eve.query(job), status.RESOURCE_EXHAUSTED, /eve has 4 .* --max-open-calls/);
  }
  assert.equal((await alice.query(job)).exited, false);
  assert.equal((await alice.wait(await alice.start("true"))).exitCode, 0);
  streams[0]?.cancel();
  await until("room for a call", () => eve.query(job).then(() => true, () => false));
  for (const stream of streams) stream.cancel();
});

Deno.test("bounds: a user's calls a second, while others are served", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: ["--max-call-rate", "20"] });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  const job = await alice.start("true");
  const calls = await Promise.allSettled(Array.from({ length: 200 }, () => eve.query(job)));
  const refused = calls.flatMap((call) => call.status === "rejected" ? [call.reason] : []);
  assert.ok(refused.length > 100 && refused.length < 200, `${refused.length}`);
  for (const { code, details } of refused) {
    assert.equal(code, status.RESOURCE_EXHAUSTED);
    assert.match(details, /eve makes more calls a second than 20, .* --max-call-rate/);
  }
  await alice.query(job);
  await until("eve's next call", () => eve.query(job).then(() => true, () => false));
});

Deno.test("bounds: connections, whoever makes them, and there is room when they end", async () => {
  await using server = await TestServer.start({ flags: ["--max-connections", "10"] });
  const alice = server.client("alice");
  const job = await alice.start("true");
  const open = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const connections = await Promise.all(Array.from({ length: 9 }, open));
  for (let time = 0; time < 20; time++) {
    using beyond = await open();
    assert.equal(await beyond.read(new Uint8Array(1)).catch(() => null), null);
  }
  assert.match(server.log, /10 connections are open, the most that --max-connections allows/);
  // Who is there is served.
  await alice.query(job);
  for (const connection of connections) connection.close();
  await until("room for another", async () => (await server.cli(["query", job])).code === 0);
});

Deno.test("bounds: connections of one user; the calls on one too many are refused, and it is closed", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: ["--max-connections-per-user", "3"] });
  const alice = server.client("alice");
  const job = await alice.start("true");
  const eves = [server.client("eve"), server.client("eve"), server.client("eve")];
  for (const eve of eves) await eve.query(job);
  const why = /eve has 3 connections open, the most that --max-connections-per-user allows/;
  const fourth = server.client("eve");
  await assertStatus(fourth.query(job), status.RESOURCE_EXHAUSTED, why);
  const cli = await server.cli(["query", job], "eve");
  assert.notEqual(cli.code, 0);
  assert.match(cli.stderr, why);
  // Who is there is served, and others are not concerned.
  for (const client of [...eves, alice, server.client("alice")]) await client.query(job);
  await until(
    "the end of her fourth",
    () => /"a connection is closed","who":"eve"/.test(server.log),
  );
  eves[0]?.raw.close();
  fourth.raw.close();
  await until("room for another", async () => (await server.cli(["query", job], "eve")).code === 0);
});

Deno.test("bounds: connections that nobody calls on are counted by the name in their certificates", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: ["--max-connections-per-user", "2"] });
  const job = await server.client("alice").start("true");
  const silent = [server.client("eve"), server.client("eve")];
  for (const { raw } of silent) {
    await new Promise<void>((resolve, reject) => {
      raw.waitForReady(Date.now() + 10_000, (error) => error ? reject(error) : resolve());
    });
  }
  await assertStatus(
    server.client("eve").query(job),
    status.RESOURCE_EXHAUSTED,
    /eve has 2 connections open/,
  );
});
