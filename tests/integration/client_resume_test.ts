import assert from "node:assert/strict";
import { parseAddress } from "../../client/endpoint/address.ts";
import { ConnectionLostError } from "../../client/errors.ts";
import { follow } from "../../client/jobs/follow.ts";
import { loadIdentity } from "../../client/endpoint/identity.ts";
import { main } from "../../client/program.ts";
import { Session } from "../../client/connection/session.ts";
import { Authority } from "../support/client_certificates.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import {
  exitedJob,
  FakeJob,
  FakePath,
  FakeServer,
  LOOPBACK,
  placeIdentity,
  refusal,
} from "../support/client_fake.ts";
import { until } from "../support/wait.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

const authority = await Authority.create();
const serverPair = await authority.issue({ name: "server", names: LOOPBACK });
const alice = await authority.issue({ name: "alice" });

interface World {
  server: FakeServer;
  /** The way from the client to the server. */
  path: FakePath;
  job: FakeJob;
  terminal: FakeTerminal;
  /** A session over the path, for what the command line does not set. */
  session(...rest: [ConstructorParameters<typeof Session>[1]?]): Session;
}

function testResume(name: string, test: (world: World) => Promise<void>): void {
  Deno.test({
    name,
    // grpc-js ends sockets and timers some time after it was told to.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using server = await FakeServer.start(serverPair, authority.cert);
      using path = await FakePath.open(() => server.port);
      using host = placeIdentity(alice, authority);
      const job = new FakeJob();
      server.jobs.set(ID, job);
      const environment = host.environment(path.address);
      const session = (...rest: [ConstructorParameters<typeof Session>[1]?]) => {
        const flags = { identity: `${host.folder}/me.pem` };
        const identity = loadIdentity({ flags, environment: () => undefined, nowMs: Date.now() });
        return new Session({ address: parseAddress(path.address), identity }, ...rest);
      };
      await test({ server, path, job, terminal: new FakeTerminal(environment), session });
    },
  });
}

/** Numbered lines, so that a lost or doubled byte is a wrong number. */
function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, index) => `${from + index}\n`).join("");
}

const HURTS: readonly (readonly [name: string, hurt: (world: World) => void | Promise<void>])[] = [
  ["the way is cut", ({ path }) => path.cut()],
  ["the server is restarted", async ({ server }) => {
    server.close();
    await server.open();
  }],
];

for (const [name, hurt] of HURTS) {
  testResume(
    `stream: not a byte is lost or doubled when ${name}, time and again`,
    async (world) => {
      const { job, terminal } = world;
      const ended = main(["stream", ID], terminal);
      for (let round = 0; round < 5; round++) {
        const before = job.output.length;
        job.write(lines(round * 5000, round * 5000 + 5000));
        // Somewhere in the middle of what has been written.
        await until("some output", () => terminal.output.length > before + 5000);
        await hurt(world);
      }
      job.end();
      assert.equal(await ended, 0);
      assert.deepEqual(terminal.output, job.output);
      assert.match(terminal.notes[0] ?? "", /^connection lost at byte \d+, trying again\.\.\.$/);
      assert.match(terminal.notes[1] ?? "", /^resumed at byte \d+$/);
    },
  );
}

testResume("stream: goes on at the next byte, over a connection of its own", async (world) => {
  const { server, path, job, terminal } = world;
  job.write("0123456789");
  const ended = main(["stream", ID], terminal);
  await until("the output", () => terminal.text === "0123456789");
  path.cut();
  await until("another try", () => server.requestsOf("Stream").length === 2);
  job.write("abc");
  await until("the rest", () => terminal.text === "0123456789abc");
  job.end();
  assert.equal(await ended, 0);
  assert.deepEqual(server.requestsOf("Stream").map((request) => request["offset"]), [0, 10]);
  assert.equal(path.connectionCount, 2);
  assert.deepEqual(terminal.notes, [
    "connection lost at byte 10, trying again...",
    "resumed at byte 10",
  ]);
});

testResume("stream: a server that stops is waited for", async ({ server, job, terminal }) => {
  job.write("one\n");
  const ended = main(["stream", ID], terminal);
  await until("the output", () => terminal.text === "one\n");
  server.close();
  await until("the note", () => terminal.notes.length === 1);
  job.write("two\n");
  job.end();
  await server.open();
  assert.equal(await ended, 0);
  assert.equal(terminal.text, "one\ntwo\n");
});

testResume(
  "stream: UNAVAILABLE from a server that shuts down is a broken connection",
  async (world) => {
    const { server, job, terminal } = world;
    job.write("one\n");
    job.end();
    server.script.Stream = [refusal(14, "the server is shutting down")];
    assert.equal(await main(["stream", ID], terminal), 0);
    assert.deepEqual([terminal.text, server.requestsOf("Stream").length], ["one\n", 2]);
    assert.equal(terminal.notes[0], "connection lost at byte 0, trying again...");
  },
);

testResume("stream: a tail is resumed where it stood, not from the end again", async (world) => {
  const { server, path, job, terminal } = world;
  job.write("one\ntwo\nthree\n");
  const ended = main(["stream", "--tail", "1", ID], terminal);
  await until("the tail", () => terminal.text === "three\n");
  path.cut();
  job.write("four\nfive\n");
  await until("the rest", () => terminal.text === "three\nfour\nfive\n");
  job.end();
  assert.equal(await ended, 0);
  const [, second] = server.requestsOf("Stream");
  assert.deepEqual([second?.["offset"], second?.["tailLines"]], [14, undefined]);
});

testResume("stream: a tail that broke before its first byte is asked for again", async (world) => {
  const { server, job, terminal } = world;
  job.write("one\ntwo\n");
  job.end();
  server.script.Stream = [refusal(14, "the server is shutting down")];
  assert.equal(await main(["stream", "--tail-bytes", "4", ID], terminal), 0);
  assert.equal(terminal.text, "two\n");
  assert.deepEqual(server.requestsOf("Stream").map((request) => request["tailBytes"]), [4, 4]);
  assert.deepEqual(terminal.notes, ["connection lost, trying again...", "resumed at byte 4"]);
});

testResume("stream: what was rotated away meanwhile is said with its size", async (world) => {
  const { path, server, job, terminal } = world;
  job.write("0123456789");
  const ended = main(["stream", ID], terminal);
  await until("the output", () => terminal.text === "0123456789");
  server.close();
  path.cut();
  job.write("abcdefghij");
  job.rotate(15);
  job.end();
  await server.open();
  assert.equal(await ended, 0);
  assert.equal(terminal.text, "0123456789fghij");
  assert.deepEqual(terminal.notes, [
    "connection lost at byte 10, trying again...",
    "resumed at byte 10",
    "5 bytes are missing here: rotated away, or refused by the server's disk",
  ]);
});

testResume("stream: a server that begins earlier than asked doubles no byte", async (world) => {
  const { server, path, job, terminal } = world;
  server.earlyBytes = 3;
  job.write("0123456789");
  const ended = main(["stream", ID], terminal);
  await until("the output", () => terminal.text === "0123456789");
  path.cut();
  job.write("abc");
  job.end();
  assert.equal(await ended, 0);
  assert.equal(terminal.text, "0123456789abc");
});

testResume("stream: --no-retry ends at the first break, with exit status 3", async (world) => {
  const { path, job, terminal } = world;
  job.write("one\n");
  const ended = main(["stream", "--no-retry", ID], terminal);
  await until("the output", () => terminal.text === "one\n");
  path.cut();
  assert.equal(await ended, 3);
  assert.equal(terminal.notes.length, 1);
  assert.match(terminal.notes[0] ?? "", /^Lost the connection to \S+: .*Try again\.$/);
  assert.equal(path.connectionCount, 1);
});

testResume("stream: --retry-for bounds how long it is tried", async ({ server, job, terminal }) => {
  job.write("one\n");
  const ended = main(["stream", "--retry-for", "1s", ID], terminal);
  await until("the output", () => terminal.text === "one\n");
  const beganMs = performance.now();
  server.close();
  assert.equal(await ended, 3);
  assert(performance.now() - beganMs < 5_000, "it was tried for longer");
  assert.equal(terminal.notes[0], "connection lost at byte 4, trying again...");
  assert.match(terminal.notes[1] ?? "", /^(Lost the connection|Cannot connect|Cannot reach)/);
});

testResume("stream: what another try cannot mend is not tried again", async (world) => {
  const { server, path, job, terminal } = world;
  job.write("one\n");
  const ended = main(["stream", ID], terminal);
  await until("the output", () => terminal.text === "one\n");
  server.script.Stream = [refusal(5, `No job has the id "${ID}"`)];
  path.cut();
  assert.equal(await ended, 5);
  assert.deepEqual(terminal.notes, [
    "connection lost at byte 4, trying again...",
    "The job was removed while its output was read: what there was from byte 4 on is gone.",
  ]);
});

testResume("stream: an unreachable server at the first try fails at once", async (world) => {
  world.server.close();
  assert.equal(await main(["stream", ID], world.terminal), 3);
  assert.equal(world.terminal.notes.length, 1);
});

testResume("follow: three missed heartbeats are a broken connection", async (world) => {
  const { path, job, terminal } = world;
  job.write("one\n");
  using session = world.session();
  const options = { jobID: ID, follow: true, retryForMs: 60_000, heartbeatSeconds: 1 };
  const ended = follow(options, { session, sink: terminal });
  await until("the output", () => terminal.text === "one\n");
  path.freeze(true);
  job.write("two\n");
  await until("the note", () => terminal.notes.length === 1);
  assert.equal(terminal.notes[0], "connection lost at byte 4, trying again...");
  path.freeze(false);
  job.end();
  await ended;
  assert.equal(terminal.text, "one\ntwo\n");
});

testResume(
  "follow: heartbeats keep a silent job's connection, and write nothing",
  async (world) => {
    const { path, job, terminal } = world;
    using session = world.session();
    const options = { jobID: ID, follow: true, retryForMs: 0, heartbeatSeconds: 1 };
    const ended = follow(options, { session, sink: terminal });
    const beganMs = performance.now();
    await until("a silence of four heartbeats", () => performance.now() - beganMs > 4_500);
    job.write("late\n");
    job.end();
    await ended;
    assert.deepEqual([terminal.text, terminal.notes, path.connectionCount], ["late\n", [], 1]);
  },
);

testResume("follow: without heartbeats the silence is noticed, and said", async (world) => {
  world.server.hasHeartbeats = false;
  using session = world.session();
  const options = { jobID: ID, follow: true, retryForMs: 0, heartbeatSeconds: 1 };
  await assert.rejects(
    follow(options, { session, sink: world.terminal }),
    (error) =>
      error instanceof ConnectionLostError && /no heartbeat for 3 seconds/.test(error.message),
  );
});

testResume(
  "wait: goes on waiting when the connection broke",
  async ({ server, path, terminal }) => {
    server.script.Wait = [() => undefined, exitedJob(4)];
    const ended = main(["wait", ID], terminal);
    await until("the first try", () => server.requestsOf("Wait").length === 1);
    path.cut();
    assert.equal(await ended, 4);
    assert.deepEqual(terminal.notes, [`connection lost while waiting for ${ID}, trying again...`]);
  },
);

testResume("wait: --no-retry ends at the first break, with exit status 125", async (world) => {
  const { server, path, terminal } = world;
  server.script.Wait = [() => undefined];
  const ended = main(["wait", "--no-retry", ID], terminal);
  await until("the first try", () => server.requestsOf("Wait").length === 1);
  path.cut();
  assert.equal(await ended, 125);
  assert.equal(server.requestsOf("Wait").length, 1);
});

testResume(
  "call: a way that swallows everything is noticed by an unanswered probe",
  async (world) => {
    const { server, path } = world;
    server.script.Wait = [() => undefined, exitedJob(4)];
    using session = world.session({ probe: { intervalMs: 200, timeoutMs: 500 } });
    const answer = session.call("Wait", { jobID: ID }, { probedJobID: ID, retryForMs: 60_000 });
    await until("a probe", () => server.requestsOf("Query").length > 0);
    path.freeze(true);
    await until("another connection", () => path.connectionCount > 1);
    path.freeze(false);
    path.cut();
    assert.equal((await answer).exitCode, 4);
  },
);

testResume("run: writes all of the output over a broken connection", async (world) => {
  const { server, path, job, terminal } = world;
  server.script.Wait = [exitedJob(2)];
  job.write("one\n");
  const ended = main(["run", "--quiet", "make"], terminal);
  await until("the output", () => terminal.text === "one\n");
  path.cut();
  job.write("two\n");
  job.end();
  assert.equal(await ended, 2);
  assert.equal(terminal.text, "one\ntwo\n");
  assert.equal(server.requestsOf("Start").length, 1);
});
