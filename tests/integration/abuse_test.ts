/**
 * Clients with a good certificate that speak HTTP/2 to do harm. Others are served meanwhile, and the
 * server's memory and descriptors come back to where they were.
 */
// Attacks: the HTTP/2 of a connection with a certificate.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { concatenate, frame, requestHeaders, uint32 } from "../support/raw_reader.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Types and flags of frames (RFC 9113, 6). */
const DATA = 0;
const HEADERS = 1;
const PRIORITY = 2;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
const END_STREAM = 1;
const END_HEADERS = 4;
const CANCEL = 8;

const NOTHING = new Uint8Array();

/** The largest frame that a server takes unless it says otherwise. */
const FRAME_BYTES = 16_384;

/**
 * What a server may have more after the storm, of 27,000 streams: the runtime keeps some 2 KB of each, and
 * collects its garbage when it sees fit.
 */
const KEPT_BYTES = 110 * 1024 ** 2;

const KEPT_DESCRIPTORS = 5;

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

/** Ids of a client's streams are odd. */
function streamId(index: number): number {
  return 2 * index + 1;
}

function open(server: TestServer, index: number): Uint8Array {
  return frame(HEADERS, END_HEADERS, streamId(index), requestHeaders(server.address));
}

/** What each does with its connection. `yield` is one write. */
const ABUSES: Readonly<Record<string, (server: TestServer) => Generator<Uint8Array>>> = {
  *"opens streams and resets them at once"(server) {
    for (let index = 0; index < 20_000; index++) {
      yield concatenate([
        open(server, index),
        frame(RST_STREAM, 0, streamId(index), uint32(CANCEL)),
      ]);
    }
  },
  *"resets a thousand streams in one piece"(server) {
    // So many the HTTP/2 library would not bear.
    for (let index = 0; index < 1200; index++) yield open(server, index);
    for (let index = 0; index < 1200; index++) {
      yield frame(RST_STREAM, 0, streamId(index), uint32(CANCEL));
    }
  },
  *"speaks on about streams that it has reset"(server) {
    for (let index = 0; index < 100; index++) {
      yield open(server, index);
      yield frame(RST_STREAM, 0, streamId(index), uint32(CANCEL));
    }
    for (let index = 0; index < 30_000; index++) {
      yield frame(WINDOW_UPDATE, 0, streamId(index % 100), uint32(1));
      yield frame(PRIORITY, 0, streamId(index % 100), new Uint8Array(5));
      yield frame(DATA, 0, streamId(index % 100), NOTHING);
    }
  },
  *"opens streams and sends nothing more"(server) {
    for (let index = 0; index < 9000; index++) yield open(server, index);
  },
  *"sends a megabyte of headers"(server) {
    const name = "x".repeat(60);
    const more = Object.fromEntries(
      Array.from({ length: 8000 }, (_, index) => [`${name}${index}`, "y".repeat(100)]),
    );
    const block = requestHeaders(server.address, more);
    yield frame(HEADERS, 0, 1, block.subarray(0, FRAME_BYTES));
    for (let offset = FRAME_BYTES; offset < block.length; offset += FRAME_BYTES) {
      const part = block.subarray(offset, offset + FRAME_BYTES);
      yield frame(CONTINUATION, offset + FRAME_BYTES < block.length ? 0 : END_HEADERS, 1, part);
    }
  },
  *"sends headers without end"(server) {
    yield frame(HEADERS, 0, 1, requestHeaders(server.address));
    const part = requestHeaders(server.address).subarray(0, 0);
    for (let index = 0; index < 200_000; index++) yield frame(CONTINUATION, 0, 1, part);
  },
  *"sends pings without end, and reads no answer"() {
    for (let index = 0; index < 60_000; index++) yield frame(PING, 0, 0, new Uint8Array(8));
  },
  *"sends settings without end"() {
    for (let index = 0; index < 60_000; index++) yield frame(SETTINGS, 0, 0, NOTHING);
  },
  *"announces a message of four gigabytes, and sends it"(server) {
    yield open(server, 0);
    yield frame(DATA, 0, 1, concatenate([new Uint8Array([0]), uint32(2 ** 32 - 1)]));
    for (let index = 0; index < 4000; index++) yield frame(DATA, 0, 1, new Uint8Array(FRAME_BYTES));
  },
  *"sends data on streams that are not open"() {
    for (let index = 0; index < 1000; index++) {
      yield frame(DATA, END_STREAM, streamId(index), new Uint8Array(100));
    }
  },
  *"opens windows beyond what there is"() {
    for (let index = 0; index < 10; index++) yield frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1));
  },
};

/** Writes until all is written or the server has had enough. */
async function abuse(server: TestServer, frames: Generator<Uint8Array>): Promise<void> {
  const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
  const connection = await Deno.connectTls({
    hostname: "localhost",
    port: server.port,
    caCerts: [read("ca.crt")],
    cert: read("bob.crt"),
    key: read("bob.key"),
    alpnProtocols: ["h2"],
  });
  const patience = setTimeout(() => connection.close(), 20_000);
  try {
    await connection.handshake();
    let batch = [PREFACE, frame(SETTINGS, 0, 0, NOTHING)];
    for (const bytes of frames) {
      batch.push(bytes);
      if (batch.length < 200) continue;
      await writeAll(connection, concatenate(batch));
      batch = [];
    }
    await writeAll(connection, concatenate(batch));
  } catch {
    // The server has closed the connection, or takes no more of it: both are its right.
  } finally {
    clearTimeout(patience);
    try {
      connection.close();
    } catch {
      // The patience was over before.
    }
  }
}

async function writeAll(connection: Deno.TlsConn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

for (const [what, frames] of Object.entries(ABUSES)) {
  Deno.test({
    name: `abuse: a client that ${what} harms nobody`,
    // grpc-js leaves the timers of a closed connection to run out by themselves.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using server = await TestServer.start();
      const alice = server.client();
      const job = await alice.shell("echo up; exec sleep 600");
      await alice.untilOutput(job, /up/);
      // One round to warm up: the runtime keeps what it has once needed.
      await abuse(server, frames(server));
      const before = await server.resources();
      let isOver = false;
      let answers = 0;
      const asking = (async () => {
        while (!isOver) {
          await assertStatus(alice.query(UNKNOWN_JOB), status.NOT_FOUND);
          answers += 1;
        }
      })();
      for (let round = 0; round < 3; round++) await abuse(server, frames(server));
      isOver = true;
      await asking;
      assert(answers > 0, "nobody else was served");
      if (what.startsWith("resets")) {
        await until(
          "the trail to name who it was",
          () =>
            /"a connection was closed","who":"bob","serial":"\w+","peer":"\S+:\d+"/.test(
              server.log,
            ),
        );
      }
      await until("memory and descriptors to come back", async () => {
        const { descriptors, residentBytes } = await server.resources();
        return descriptors <= before.descriptors + KEPT_DESCRIPTORS &&
          residentBytes <= before.residentBytes + KEPT_BYTES;
      });
      const { exitCode } = await server.client().wait(await server.client().start("true"));
      assert.equal(exitCode, 0);
      await alice.stop(job, 0);
      assert.equal(await alice.text(job), "up\n");
    },
  });
}

/** A number that the server counts, of its metrics. */
async function gauge(server: TestServer, name: string): Promise<number> {
  const port = /"metricsPort":(\d+)/.exec(server.log)?.[1];
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}

/** What a thousand strangers may cost while they wait for nothing. */
const SILENT_CONNECTIONS = 1000;

Deno.test({
  name: "abuse: a thousand connections that say nothing keep nobody out, and are closed",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using server = await TestServer.start({ flags: ["--metrics-listen", "127.0.0.1:0"] });
    const alice = server.client();
    await assertStatus(alice.query(UNKNOWN_JOB), status.NOT_FOUND);
    const before = await server.resources();
    const silent = await Promise.all(
      Array.from(
        { length: SILENT_CONNECTIONS },
        () => Deno.connect({ hostname: "127.0.0.1", port: server.port }),
      ),
    );
    await until(
      "all of them to be there",
      async () => await gauge(server, "job_worker_connections") >= SILENT_CONNECTIONS,
    );
    const late = server.client("bob");
    await assertStatus(late.query(UNKNOWN_JOB), status.NOT_FOUND);
    // The server closes each when its time for a handshake is up.
    await Promise.all(silent.map(async (connection) => {
      await connection.read(new Uint8Array(1)).catch(() => null);
      connection.close();
    }));
    await until("memory and descriptors to come back", async () => {
      const { descriptors, residentBytes } = await server.resources();
      return descriptors <= before.descriptors + KEPT_DESCRIPTORS &&
        residentBytes <= before.residentBytes + KEPT_BYTES;
    });
  },
});

Deno.test({
  name: "abuse: a connection has so many streams and no more, and another one has its own",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using server = await TestServer.start({
      flags: ["--max-streams", "5", "--metrics-listen", "127.0.0.1:0"],
    });
    const openStreams = () => gauge(server, "job_worker_open_streams");
    const owner = server.client();
    const job = await owner.shell("echo up; exec sleep 600");
    const greedy = server.client("bob");
    // Those beyond the bound wait at the client, or are refused: either is the client's matter.
    const outputs = Array.from({ length: 12 }, () => greedy.text(job).catch(() => ""));
    await until("five to be open", async () => await openStreams() === 5);
    await owner.untilOutput(job, /up/);
    assert(await openStreams() <= 6, "the bound is one connection's");
    await owner.stop(job, 0);
    await Promise.all(outputs);
  },
});
