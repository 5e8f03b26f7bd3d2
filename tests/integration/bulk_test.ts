/** Most of a long output comes over a second connection, which must never cost a byte or a check. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseAddress } from "../../client/endpoint/address.ts";
import { ClosedOutputError } from "../../client/errors.ts";
import { follow } from "../../client/jobs/follow.ts";
import { loadIdentity } from "../../client/endpoint/identity.ts";
import { main } from "../../client/program.ts";
import { Session } from "../../client/connection/session.ts";
import { Authority, type Pair } from "../support/client_certificates.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import {
  type ClientHost,
  FakeJob,
  FakePath,
  FakeServer,
  LOOPBACK,
  placeIdentity,
  refusal,
} from "../support/client_fake.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { until } from "../support/wait.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";
const MEBIBYTE = 1024 * 1024;

const authority = await Authority.create();
const serverPair = await authority.issue({ name: "server", names: LOOPBACK });
const otherServerPair = await authority.issue({ name: "other", names: LOOPBACK });
const alice = await authority.issue({ name: "alice" });

/** Every offset has its own byte, as far as a lost or doubled piece can be told. */
const output = Uint8Array.from({ length: 6 * MEBIBYTE }, (_, offset) => offset * 2654435761 >> 16);

/** So much of it is there when a reader comes: enough that a second connection is made. */
const FIRST_BYTES = 1.5 * MEBIBYTE;

interface World {
  server: FakeServer;
  path: FakePath;
  /** Runs, and has printed the first bytes. */
  job: FakeJob;
  host: ClientHost;
  terminal: FakeTerminal;
  /** Where the next connection leads, instead of to the server. */
  redirect(port: number): void;
}

function testBulk(name: string, test: (world: World) => Promise<void>): void {
  Deno.test({
    name,
    // grpc-js ends sockets and timers some time after it was told to.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using server = await FakeServer.start(serverPair, authority.cert);
      let target: number | undefined;
      using path = await FakePath.open(() => target ?? server.port);
      using host = placeIdentity(alice, authority);
      const job = new FakeJob();
      server.jobs.set(ID, job);
      job.write(output.subarray(0, FIRST_BYTES));
      const terminal = new FakeTerminal(host.environment(path.address));
      await test({ server, path, job, host, terminal, redirect: (port) => target = port });
    },
  });
}

function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.length, expected.length);
  const wrong = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.equal(wrong, -1, "the first wrong byte");
}

/** The job prints the rest and ends. */
function finish(job: FakeJob): void {
  job.write(output.subarray(job.output.length));
  job.end();
}

/** Waits until the second connection has taken the stream over. */
async function untilTaken({ server }: World): Promise<void> {
  await until("the second request", () => server.requestsOf("Stream").length >= 2);
}

/** Waits until a second connection was made, and was given up or has led to a request. */
async function untilTried({ path }: World, other?: FakeServer): Promise<void> {
  await until("the second connection's fate", () => {
    if (path.connectionCount < 2) return false;
    return path.openCount === 1 || (other?.requests.length ?? 0) > 0;
  });
}

testBulk("stream: a long output is whole, most of it over a second connection", async (world) => {
  const { server, path, job, terminal } = world;
  const ended = main(["stream", ID], terminal);
  await untilTaken(world);
  finish(job);
  assert.equal(await ended, 0);
  assertSame(terminal.output, output);
  assert.equal(path.connectionCount, 2);
  const [first, second, last] = server.requestsOf("Stream").map(({ offset }) => Number(offset));
  assert.deepEqual([first, last], [0, output.length]);
  assert.ok(second !== undefined && second >= MEBIBYTE && second < 2 * MEBIBYTE, `${second}`);
  assert.deepEqual(terminal.notes, []);
});

testBulk(
  "stream: a short output needs no second connection",
  async ({ server, path, terminal }) => {
    const job = new FakeJob();
    job.write(output.subarray(0, MEBIBYTE / 2));
    job.end();
    server.jobs.set(ID, job);
    assert.equal(await main(["stream", ID], terminal), 0);
    assertSame(terminal.output, job.output);
    assert.deepEqual([path.connectionCount, server.requestsOf("Stream").length], [1, 1]);
  },
);

testBulk("stream: a gap on the second connection is told as on the first", async (world) => {
  const { job, terminal } = world;
  const ended = main(["stream", ID], terminal);
  await untilTaken(world);
  const { length } = job.output;
  await until("what is there", () => terminal.outputBytes === length);
  job.rotate(4 * MEBIBYTE);
  finish(job);
  assert.equal(await ended, 0);
  assert.deepEqual(terminal.notes, [
    `${
      4 * MEBIBYTE - length
    } bytes are missing here: rotated away, or refused by the server's disk`,
  ]);
  assertSame(terminal.output.slice(length), output.slice(4 * MEBIBYTE));
});

testBulk("stream: not a byte is lost or doubled when it is cut again and again", async (world) => {
  const { path, job, terminal } = world;
  finish(job);
  let cuts = 0;
  terminal.onWrite = () => {
    if (terminal.outputBytes <= (cuts + 1) * MEBIBYTE * 1.5) return;
    cuts++;
    path.cut();
  };
  assert.equal(await main(["stream", ID], terminal), 0);
  assertSame(terminal.output, output);
  assert.ok(cuts >= 3);
});

testBulk("stream: cut while the second connection has it, it goes on", async (world) => {
  const { path, job, terminal } = world;
  const ended = main(["stream", ID], terminal);
  await untilTaken(world);
  path.cut();
  finish(job);
  assert.equal(await ended, 0);
  assertSame(terminal.output, output);
});

testBulk("stream: where no second connection can be made, the first goes on", async (world) => {
  const { server, job, terminal, redirect } = world;
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr;
  closed.close();
  terminal.onWrite = () => redirect(port);
  const ended = main(["stream", ID], terminal);
  await untilTried(world);
  finish(job);
  assert.equal(await ended, 0);
  assertSame(terminal.output, output);
  assert.equal(server.requestsOf("Stream").length, 1);
  assert.deepEqual(terminal.notes, []);
});

testBulk("stream: where the second connection is silent, the first goes on", async (world) => {
  const { server, path, job, terminal, redirect } = world;
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  terminal.onWrite = () => redirect(silent.addr.port);
  const ended = main(["stream", ID], terminal);
  await until("the second connection", () => path.connectionCount === 2);
  finish(job);
  assert.equal(await ended, 0);
  assertSame(terminal.output, output);
  assert.equal(server.requestsOf("Stream").length, 1);
});

for (
  const [what, makePair] of [
    ["another server's certificate of the CA", () => Promise.resolve(otherServerPair)],
    ["another CA's", async () => (await Authority.create()).issue({ name: "x", names: LOOPBACK })],
    ["one for another name", () => authority.issue({ name: "x", names: [] })],
  ] as const satisfies readonly (readonly [string, () => Promise<Pair>])[]
) {
  testBulk(`stream: a second connection that shows ${what} is left alone`, async (world) => {
    const { server, job, terminal, redirect } = world;
    await using other = await FakeServer.start(await makePair(), authority.cert);
    const wrong = new FakeJob();
    wrong.write("x".repeat(output.length));
    wrong.end();
    other.jobs.set(ID, wrong);
    terminal.onWrite = () => redirect(other.port);
    const ended = main(["stream", ID], terminal);
    await untilTried(world, other);
    finish(job);
    assert.equal(await ended, 0);
    assertSame(terminal.output, output);
    assert.deepEqual([other.requests.length, server.requestsOf("Stream").length], [0, 1]);
  });
}

testBulk("stream: a job that is removed before the second request comes whole", async (world) => {
  const { server, job, terminal } = world;
  server.script.Stream = [() => undefined, refusal(5, "the job was removed")];
  const ended = main(["stream", ID], terminal);
  await untilTaken(world);
  finish(job);
  assert.equal(await ended, 0);
  assertSame(terminal.output, output);
  assert.deepEqual([terminal.notes, server.requestsOf("Stream").length], [[], 2]);
});

testBulk(
  "follow: silence on the second connection is noticed, and the first goes on",
  async (world) => {
    const { server, path, host, job, terminal } = world;
    const silence = () => {
      server.hasHeartbeats = false;
      return undefined;
    };
    server.script.Stream = [() => undefined, silence];
    const flags = { identity: `${host.folder}/me.pem` };
    const identity = loadIdentity({ flags, environment: () => undefined, nowMs: Date.now() });
    using session = new Session({ address: parseAddress(path.address), identity });
    const options = { jobID: ID, follow: true, retryForMs: 0, heartbeatSeconds: 1 };
    const ended = follow(options, { session, sink: terminal });
    await untilTaken(world);
    // The second answers with it, and says nothing more.
    job.write(output.subarray(FIRST_BYTES, FIRST_BYTES + 1));
    await until("the third request", () => server.requestsOf("Stream").length === 3);
    finish(job);
    await ended;
    assertSame(terminal.output, job.output);
  },
);

testBulk(
  "stream: closed output ends it, and nothing more is requested",
  async (world) => {
    const { server, job, terminal } = world;
    const ended = main(["stream", ID], terminal);
    await untilTaken(world);
    terminal.onWrite = () => {
      if (terminal.outputBytes > 3 * MEBIBYTE) throw new ClosedOutputError();
    };
    finish(job);
    assert.equal(await ended, 0);
    assert.equal(server.requestsOf("Stream").length, 2);
  },
);

testBulk("worker-client: the compiled program uses the second connection", async (world) => {
  const { server, path, job, host } = world;
  const client = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: ["stream", ID],
    env: host.environment(path.address),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const finished = client.output();
  await untilTaken(world);
  finish(job);
  const { code, stdout, stderr } = await finished;
  assert.deepEqual([code, new TextDecoder().decode(stderr)], [0, ""]);
  assertSame(stdout, output);
  assert.deepEqual([path.connectionCount, server.requestsOf("Stream").length], [2, 3]);
});
