/** What readers cost that stop, are slow, or vanish: the compiled server's memory and descriptors. */
// Attacks: the server's memory, by readers that stop.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { type TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES, RawConnection } from "../support/raw_reader.ts";

/** What waits for a reader that does not come for it. */
const LOG_BYTES = 300_000_000;

/** The server's bound with such readers; it has 80 MB when it has just begun. */
const MAX_RESIDENT_BYTES = 200_000_000;

/**
 * What a server that sends a lot grows to and stays at: the memory of what was sent is given back
 * only when the runtime has collected so much of it.
 */
const MAX_BUSY_RESIDENT_BYTES = 300_000_000;

/** The runtime keeps 100 KB or more of every connection, and all that a stream had waiting. */
const MAX_VANISHED_BYTES = 350_000;

/** A server without bounds fills its memory in less than this. */
const OBSERVATION_MS = 4000;

function test(name: string, body: (server: TestServer, client: TestClient) => Promise<void>): void {
  Deno.test(`stream: ${name}`, async () => {
    await using server = await TestServer.start({ flags: ["--max-output", "max"] });
    await body(server, server.client());
  });
}

for (
  const [how, windowBytes] of [
    ["its socket", MAX_WINDOW_BYTES],
    ["its HTTP/2 window", DEFAULT_WINDOW_BYTES],
  ] as const
) {
  test(
    `a reader that stops at ${how} before 300 MB costs no memory, and can go on`,
    async (server, client) => {
      const job = await fillLog(client, LOG_BYTES);
      using connection = await RawConnection.open(server, windowBytes);
      const stream = await connection.stream({ jobID: job });
      assert((await peakResidentBytes(server)) < MAX_RESIDENT_BYTES);
      if (windowBytes < MAX_WINDOW_BYTES) await stream.grant(MAX_WINDOW_BYTES - windowBytes);
      await stream.readAll();
      assert(stream.payloadBytes > LOG_BYTES, `${stream.payloadBytes} bytes`);
    },
  );
}

test(
  "ten readers that stop before 300 MB cost no memory together, and hold nobody up",
  async (server, client) => {
    const job = await fillLog(client, LOG_BYTES);
    await using stack = new AsyncDisposableStack();
    for (let index = 0; index < 10; index++) {
      const windowBytes = index % 2 === 0 ? MAX_WINDOW_BYTES : DEFAULT_WINDOW_BYTES;
      const connection = stack.use(await RawConnection.open(server, windowBytes));
      await connection.stream({ jobID: job });
    }
    assert((await peakResidentBytes(server)) < MAX_RESIDENT_BYTES);
    const last = await client.output(job, { tailBytes: 1_000_000 });
    assert.equal(last.length, 1_000_000);
  },
);

test("a reader that is steady but slow costs no more with time", async (server, client) => {
  const job = await fillLog(client, LOG_BYTES);
  using connection = await RawConnection.open(server, MAX_WINDOW_BYTES);
  const stream = await connection.stream({ jobID: job });
  const bytesPerMs = 30_000;
  const begin = performance.now();
  let peak = 0;
  while (!stream.isEnded) {
    await stream.readUntil(stream.payloadBytes + 1_000_000);
    peak = Math.max(peak, (await server.resources()).residentBytes);
    const aheadMs = stream.payloadBytes / bytesPerMs - (performance.now() - begin);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  assert(stream.payloadBytes > LOG_BYTES, `${stream.payloadBytes} bytes`);
  assert(peak < MAX_BUSY_RESIDENT_BYTES, `${peak} bytes`);
});

test(
  "a stream that is stuck, or was given up, holds up no other of its connection",
  async (server, client) => {
    const size = 3_000_000;
    const job = await fillLog(client, size);
    using connection = await RawConnection.open(server, DEFAULT_WINDOW_BYTES);
    const stuck = await connection.stream({ jobID: job });
    const givenUp = await connection.stream({ jobID: job });
    await Promise.all([stuck, givenUp].map((stream) => stream.readUntil(DEFAULT_WINDOW_BYTES)));
    await givenUp.cancel();
    for (let count = 0; count < 3; count++) {
      const stream = await connection.stream({ jobID: job });
      await stream.grant(MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
      await stream.readAll();
      assert(stream.payloadBytes > size);
    }
    assert.equal(stuck.payloadBytes, DEFAULT_WINDOW_BYTES);
    assert.equal(stuck.isEnded, false);
  },
);

test("heartbeats do not pile up before a reader that takes nothing", async (server, client) => {
  const job = await fillLog(client, 3_000_000);
  using connection = await RawConnection.open(server, DEFAULT_WINDOW_BYTES);
  let beats = 0;
  const stream = await connection.stream({ jobID: job, heartbeatSeconds: 1 }, ({ output }) => {
    if (output.length === 0) beats++;
  });
  await stream.readUntil(DEFAULT_WINDOW_BYTES);
  await new Promise((resolve) => setTimeout(resolve, OBSERVATION_MS));
  await stream.grant(MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  await stream.readAll();
  // One may come in the time that the rest takes.
  assert(beats <= 1, `${beats} heartbeats`);
});

test("a reader that is killed leaves no descriptor behind", async (server, client) => {
  const job = await client.shell("echo ready; exec sleep 600");
  await client.untilOutput(job, /ready/);
  const before = await settledDescriptors(server);
  for (const args of [["stream", job], ["stream", "--tail", "1", job]]) {
    const reader = new Deno.Command(join(BIN_DIR, "worker-client"), {
      args,
      env: server.cliEnvironment(),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const output = reader.stdout.getReader();
    const { value } = await output.read();
    assert.equal(new TextDecoder().decode(value), "ready\n");
    assert((await server.resources()).descriptors > before, "the reader has no connection");
    reader.kill("SIGKILL");
    await reader.status;
    await output.cancel();
    await output.cancel();
    await untilDescriptors(server, before);
  }
  await client.stop(job, 0);
});

test(
  "200 readers that cancel leave no descriptor behind, and the server goes on",
  async (server, client) => {
    const job = await client.shell("echo ready; exec sleep 600");
    await client.untilOutput(job, /ready/);
    const before = await settledDescriptors(server);
    const readers = [client, server.client("bob"), server.client(), server.client()];
    const cancelled = Array.from({ length: 200 }, async (_, index) => {
      const call = (readers[index % readers.length] ?? client).raw.Stream({ jobID: job });
      await assert.rejects(async () => {
        for await (const { output } of call) if (output.length > 0) call.cancel();
      }, { code: status.CANCELLED });
    });
    await Promise.all(cancelled);
    for (const reader of readers.slice(1)) reader.raw.close();
    await untilDescriptors(server, before);
    assert.equal((await client.query(job)).exited, false);
    await client.stop(job, 0);
    assert.equal(await client.text(job), "ready\n");
  },
);

test(
  "readers that vanish while much waits for them leave neither descriptors nor memory",
  async (server, client) => {
    const job = await fillLog(client, 10_000_000);
    const vanish = async (count: number, windowBytes: number) => {
      for (let index = 0; index < count; index++) {
        using connection = await RawConnection.open(server, windowBytes);
        const stream = await connection.stream({ jobID: job });
        await stream.readUntil(10_000);
      }
    };
    await vanish(100, DEFAULT_WINDOW_BYTES);
    const descriptors = await settledDescriptors(server);
    await vanish(20, MAX_WINDOW_BYTES);
    await untilDescriptors(server, descriptors);
    const { residentBytes } = await server.resources();
    const count = 300;
    await vanish(count, DEFAULT_WINDOW_BYTES);
    await untilDescriptors(server, descriptors);
    const eachBytes = ((await server.resources()).residentBytes - residentBytes) / count;
    console.log(`each of ${count} readers that vanished cost ${Math.round(eachBytes)} bytes`);
    assert(eachBytes < MAX_VANISHED_BYTES, `${eachBytes} bytes`);
  },
);

/** A finished job with so much output. */
async function fillLog(client: TestClient, bytes: number): Promise<string> {
  const job = await client.shell(`head -c ${bytes} /dev/zero`);
  const { exitCode, outputBytes } = await client.wait(job);
  assert.deepEqual([exitCode, outputBytes], [0, bytes]);
  return job;
}

/** The most memory that the server has within the time of observation. */
async function peakResidentBytes(server: TestServer): Promise<number> {
  const end = performance.now() + OBSERVATION_MS;
  let peak = 0;
  while (performance.now() < end && peak < MAX_RESIDENT_BYTES) {
    peak = Math.max(peak, (await server.resources()).residentBytes);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return peak;
}

/** How many descriptors the server has when nothing is being opened or closed. */
async function settledDescriptors(server: TestServer): Promise<number> {
  let last = -1;
  let same = 0;
  return await until("the descriptors to settle", async () => {
    const { descriptors } = await server.resources();
    same = descriptors === last ? same + 1 : 0;
    last = descriptors;
    return same >= 20 ? descriptors : undefined;
  });
}

async function untilDescriptors(server: TestServer, count: number): Promise<void> {
  const what = `the server to have ${count} descriptors again`;
  await until(what, async () => (await server.resources()).descriptors <= count);
}
