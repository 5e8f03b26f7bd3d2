/** Bytes at the port of the compiled server, with and without a certificate. */
// Attacks: the port, by random bytes.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import * as fc from "fast-check";
import { concatenate, frame, requestHeaders, uint32 } from "../support/raw_reader.ts";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { jobService } from "../../proto/contract.ts";
import { fuzz, mutated } from "./fuzz.ts";

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A handshake's first record, near enough that the server reads on. */
const CLIENT_HELLO = Uint8Array.of(22, 3, 1, 0, 80, 1, 0, 0, 76, 3, 3, ...Array(70).fill(7));

let server: TestServer | undefined;

/** One server for all: what an input breaks, the next one finds broken. */
async function theServer(): Promise<TestServer> {
  return server ??= await TestServer.start();
}

async function assertAlive(): Promise<void> {
  const fuzzed = await theServer();
  const client = fuzzed.client();
  try {
    await assertStatus(client.query(UNKNOWN_JOB), status.NOT_FOUND);
  } catch (error) {
    const lines = fuzzed.log.split("\n").filter((line) => !line.includes('"call"'));
    throw new Error(`the server is gone or mute: ${lines.slice(-5).join("\n")}`, { cause: error });
  } finally {
    client.raw.close();
  }
}

/** Sends, and leaves; the server may have closed the connection before. */
async function send(
  connection: Deno.Conn,
  { pieces, isLeft = true }: { pieces: readonly Uint8Array[]; isLeft?: boolean },
): Promise<void> {
  try {
    for (const bytes of pieces) {
      for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
    }
  } catch {
    // It has had enough.
  }
  if (!isLeft) return;
  try {
    connection.close();
  } catch {
    // It was quicker.
  }
}

/** A connection that has shown a reader's certificate. */
async function connectAsBob(): Promise<Deno.TlsConn> {
  const { port, pki } = await theServer();
  const read = (name: string) => Deno.readTextFileSync(pki.file(name));
  const connection = await Deno.connectTls({
    hostname: "localhost",
    port,
    caCerts: [read("ca.crt")],
    cert: read("bob.crt"),
    key: read("bob.key"),
    alpnProtocols: ["h2"],
  });
  await connection.handshake();
  return connection;
}

let count = 0;

fuzz("bytes without a handshake", {
  inputs: fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated(CLIENT_HELLO)),
  holds: async (bytes) => {
    const { port } = await theServer();
    await send(await Deno.connect({ hostname: "127.0.0.1", port }), { pieces: [bytes] });
    if (++count % 50 === 0) await assertAlive();
  },
});

const FRAMES = concatenate([
  frame(4, 0, 0, new Uint8Array()),
  frame(1, 4, 1, requestHeaders("localhost")),
  frame(0, 1, 1, concatenate([new Uint8Array([0]), uint32(3), new Uint8Array([10, 1, 97])])),
  frame(8, 0, 0, uint32(1000)),
  frame(6, 0, 0, new Uint8Array(8)),
  frame(3, 0, 1, uint32(8)),
]);

fuzz("frames behind a good handshake", {
  inputs: mutated(FRAMES),
  share: 0.4,
  holds: async (bytes) => {
    await send(await connectAsBob(), { pieces: [PREFACE, bytes] });
    if (++count % 20 === 0) await assertAlive();
  },
});

const REQUESTS = Object.values(jobService).map((method) => ({
  path: method.path,
  isStream: method.responseStream,
}));

fuzz("requests that are no messages", {
  inputs: fc.tuple(fc.constantFrom(...REQUESTS), fc.uint8Array({ maxLength: 60 })),
  share: 0.4,
  holds: async ([{ path }, bytes]) => {
    const client = (await theServer()).client();
    await new Promise<void>((resolve) => {
      const same = (value: unknown) => value as never;
      client.raw.makeServerStreamRequest(path, () => same(bytes), same, {})
        .on("data", () => {})
        .on("error", () => resolve())
        .on("end", () => resolve());
    });
    client.raw.close();
    if (++count % 20 === 0) await assertAlive();
  },
});

const OPENING = concatenate([PREFACE, frame(4, 0, 0, new Uint8Array())]);

/** What has ended a server before; each is a connection of its own. */
const FOUND: Readonly<Record<string, readonly Uint8Array[]>> = {
  "a request of another content type, reset at once": [
    frame(1, 4, 1, requestHeaders("localhost", { "content-type": "text/html" })),
    frame(3, 0, 1, uint32(8)),
  ],
  "a request of a method that is not there, reset at once": [
    frame(1, 4, 1, requestHeaders("localhost", { ":path": "/JobService/None" })),
    frame(3, 0, 1, uint32(8)),
  ],
  "a reset with a code that HTTP/2 does not know": [
    frame(1, 4, 1, requestHeaders("localhost")),
    frame(3, 0, 1, uint32(0x1234_5678)),
  ],
};

for (const [what, frames] of Object.entries(FOUND)) {
  Deno.test({
    name: `fuzz: found: ${what} does not end the server`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      for (const isOnePiece of [true, false]) {
        const connection = await connectAsBob();
        await send(connection, {
          pieces: isOnePiece ? [concatenate([OPENING, ...frames])] : [OPENING, ...frames],
          isLeft: false,
        });
        await assertAlive();
        connection.close();
      }
    },
  });
}

Deno.test({
  name: "fuzz: the server is as it was after all of it",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const fuzzed = await theServer();
    try {
      await assertAlive();
      const client = fuzzed.client();
      for (const { jobID } of (await client.list({ states: ["JOB_STATE_RUNNING"] })).jobs) {
        await client.stop(jobID, 0);
      }
      await client.wait(await client.start("true"));
      // The net of last resort has caught nothing.
      assert.doesNotMatch(fuzzed.log, /uncaught error/);
    } finally {
      server = undefined;
      await fuzzed[Symbol.asyncDispose]();
    }
  },
});
