/**
 * A connection that cannot be accepted: the runtime gives up the listening socket for good, and the
 * server, its metrics and the page of the client go on all the same.
 */
// Attacks: the listening socket.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { service } from "grpc-health-check";
import { createSecureServer } from "node:http2";
import type { Socket } from "node:net";
import { join } from "node:path";
import { listeningSocketOf } from "../../lib/grpc/accepting.ts";
import { assertStatus, type TestClient } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";
import { UiHost } from "../support/ui_host.ts";
import { inTime, until } from "../support/wait.ts";

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

const METRICS_FLAGS = ["--metrics-listen", "127.0.0.1:0"];

/** How soon a client is served after what kept the server from accepting has ended. */
const SERVED_WITHIN_MS = 1000;

/** Descriptors that a server has left before a flood. */
const LEFT = 40;

/** More connections than that. */
const FLOOD = 100;

/** What may be left of a flood: the runtime keeps a few descriptors. */
const KEPT_DESCRIPTORS = 5;

const FIXTURE = join(import.meta.dirname ?? "", "..", "fixtures", "fail_accept.c");

async function missing(program: string): Promise<string | undefined> {
  const { code } = await run("/bin/sh", ["-c", 'command -v "$1"', "sh", program]);
  return code === 0 ? undefined : `${program} is not installed`;
}

const LACKS_PRLIMIT = await missing("prlimit");
const LACKS_GCC = await missing("gcc");

async function setLimit(pid: number, limit: string): Promise<void> {
  const { code, stderr } = await run("prlimit", ["--pid", String(pid), `--nofile=${limit}`]);
  assert.equal(code, 0, stderr);
}

async function countDescriptors(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

async function descriptorLimits(pid: number): Promise<string[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/limits`);
  return /^Max open files\s+(\d+)\s+(\d+)/m.exec(text)?.slice(1) ?? [];
}

/** Connections that say nothing; as many as the server lets come. */
class Flood implements Disposable {
  readonly #connections: Deno.TcpConn[];

  private constructor(connections: Deno.TcpConn[]) {
    this.#connections = connections;
  }

  static async begin(port: number, count: number): Promise<Flood> {
    const tries = Array.from(
      { length: count },
      () => Deno.connect({ hostname: "127.0.0.1", port }),
    );
    const results = await Promise.allSettled(tries);
    return new Flood(
      results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []),
    );
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }
}

function urlOf(server: TestServer): string {
  return `http://127.0.0.1:${/"metricsPort":(\d+)/.exec(server.log)?.[1]}/healthz`;
}

/** What a probe learns: nothing where it cannot connect. */
async function askHealth(server: TestServer): Promise<string> {
  try {
    const headers = { connection: "close" };
    const response = await fetch(urlOf(server), { headers, signal: AbortSignal.timeout(500) });
    return (await response.text()).trim();
  } catch {
    return "no answer";
  }
}

/** What gRPC's health service tells on a connection that was there before. */
function checkHealth({ raw }: TestClient): Promise<string> {
  const check = service["Check"];
  assert(check);
  return new Promise((resolve, reject) =>
    raw.makeUnaryRequest(
      check.path,
      check.requestSerialize,
      check.responseDeserialize,
      { service: "" },
      (error, answer) => error ? reject(error) : resolve((answer as { status: string }).status),
    )
  );
}

async function assertServed(client: TestClient): Promise<void> {
  const beginMs = performance.now();
  await inTime(
    "a client to be served",
    assertStatus(client.query(UNKNOWN_JOB), status.NOT_FOUND),
    5000,
  );
  const tookMs = performance.now() - beginMs;
  assert(tookMs < SERVED_WITHIN_MS, `served after ${tookMs.toFixed(0)} ms`);
}

testUnless(LACKS_PRLIMIT, {
  name:
    "accept: a flood takes all descriptors, health says so, and a client is served right after it",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using server = await TestServer.start({ flags: METRICS_FLAGS });
    const early = server.client();
    await assertServed(early);
    assert.deepEqual([await askHealth(server), await checkHealth(early)], ["SERVING", "SERVING"]);
    const before = await countDescriptors(server.pid);
    await setLimit(server.pid, `${before + LEFT}:`);
    {
      using _flood = await Flood.begin(server.port, FLOOD);
      await until(
        "the server to tell it",
        () => server.log.includes('"message":"connections cannot be accepted"'),
      );
      assert.match(
        server.log,
        /"problem":"the server has no file descriptor left: raise its limit/,
      );
      assert.notEqual(await askHealth(server), "SERVING");
      assert.equal(await checkHealth(early), "NOT_SERVING");
    }
    await assertServed(server.client("bob"));
    await until("health to tell it", async () => await askHealth(server) === "SERVING");
    assert.equal(await checkHealth(early), "SERVING");
    assert.match(server.log, /"message":"connections are accepted again"/);
    const told = server.log.match(/"message":"connections cannot be accepted"/g) ?? [];
    assert(told.length <= 2, `${told.length} lines`);
    await until(
      "the descriptors to come back",
      async () => await countDescriptors(server.pid) <= before + KEPT_DESCRIPTORS,
    );
  },
});

const ENETUNREACH = 101;

/** errno(3): what accept(2) may fail with for a reason that is over at once, or soon. */
const ERRORS = { EPERM: 1, ENOMEM: 12, ENFILE: 23, EMFILE: 24, ECONNABORTED: 103, ENOBUFS: 105 };

testUnless(LACKS_GCC, {
  name: "accept: one connection that cannot be accepted keeps no other out, whatever the error",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-accept-" });
    try {
      const library = join(folder, "fail_accept.so");
      const order = join(folder, "order");
      const { code, stderr } = await run("gcc", ["-shared", "-fPIC", "-o", library, FIXTURE]);
      assert.equal(code, 0, stderr);
      await using server = await TestServer.start({
        flags: METRICS_FLAGS,
        prelude: `export LD_PRELOAD='${library}' JOB_WORKER_FAIL_ACCEPT='${order}'`,
      });
      for (const [name, number] of Object.entries(ERRORS)) {
        await Deno.writeTextFile(order, String(number));
        // The first of them meets the error, and waits in the queue of the socket.
        using _first = await Flood.begin(server.port, 1);
        await until(`${name} to happen`, () => isGone(order));
        await assertServed(server.client());
        await Deno.writeTextFile(order, String(number));
        await askHealth(server);
        await until(`${name} to happen to a probe`, () => isGone(order));
        await until("a probe to be answered", async () => await askHealth(server) === "SERVING");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

async function isGone(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => false, () => true);
}

testUnless(LACKS_PRLIMIT, {
  name: "accept: the soft limit of descriptors becomes the hard one, and jobs keep theirs",
  async fn() {
    await using server = await TestServer.start({
      prelude: "ulimit -Sn 1024; ulimit -Hn 8192",
    });
    assert.deepEqual(await descriptorLimits(server.pid), ["8192", "8192"]);
    assert.doesNotMatch(server.log, /cannot raise the limit/);
    assert.match(server.log, /fewer connections fit[^\n]+"maxConnections":4096/);
    const client = server.client();
    const job = await client.shell("ulimit -Sn; ulimit -Hn");
    assert.equal(await client.text(job), "1024\n8192\n");
  },
});

Deno.test({
  name:
    "accept: where there are few descriptors, connections that say nothing do not take them all",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using server = await TestServer.start({
      flags: METRICS_FLAGS,
      prelude: "ulimit -n 1024",
    });
    assert.match(server.log, /"maxConnections":512,"maxHandshakes":256/);
    const early = server.client();
    await assertServed(early);
    {
      using _flood = await Flood.begin(server.port, 1200);
      await assertServed(early);
      assert.equal(await askHealth(server), "SERVING");
      // What a start needs is left.
      const job = await early.start("true");
      assert.equal((await early.wait(job)).exitCode, 0);
    }
    await assertServed(server.client("bob"));
    assert.doesNotMatch(server.log, /cannot be accepted/);
  },
});

/** The address that is listened on, and where the server's own connection comes from. */
const ADDRESSES = [["127.0.0.1", "127.0.0.1"], ["0.0.0.0", "127.0.0.1"], ["::1", "::1"]] as const;

Deno.test("accept: the server's own connection arrives, and goes no further", async () => {
  for (const [listening, from] of ADDRESSES) {
    const server = createSecureServer();
    const seen: string[] = [];
    server.on("connection", ({ remoteAddress }) => void seen.push(String(remoteAddress)));
    await new Promise<void>((resolve) => server.listen(0, listening, resolve));
    const socket = listeningSocketOf(server);
    const arrived = new Promise<Socket>((resolve) => {
      socket.intercept((connection) => {
        if (seen.length > 0) return false;
        resolve(connection as Socket);
        return true;
      });
    });
    const own = socket.connectToItself();
    assert(typeof own === "object");
    assert.equal(await own.open(), 0);
    const connection = await inTime("the connection", arrived);
    assert.equal(connection.remotePort, own.port);
    assert.equal(connection.remoteAddress, from);
    connection.destroy();
    own[Symbol.dispose]();
    assert.deepEqual(seen, []);
    // The runtime looks at the socket for the asking, and sends nothing.
    assert.equal(await inTime("a failed connect", socket.acceptAgain()), ENETUNREACH);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await socket.acceptAgain(), undefined);
    assert.equal(socket.connectToItself(), undefined);
  }
});

testUnless(LACKS_PRLIMIT, {
  name: "accept: the page of worker-client ui is served again after a flood",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using server = await TestServer.start();
    await using host = await UiHost.start(server);
    const port = Number(new URL(host.url).port);
    await setLimit(host.pid, `${await countDescriptors(host.pid) + LEFT}:`);
    {
      using _flood = await Flood.begin(port, FLOOD);
    }
    const ask = () =>
      fetch(host.url, { headers: { connection: "close" } })
        .then(
          async (response) => [response.status, await response.text()] as const,
          () => undefined,
        );
    const [code] = await until("the page to be served", ask, SERVED_WITHIN_MS);
    assert.equal(code, 200);
  },
});
