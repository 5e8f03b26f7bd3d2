/** What a stream delivers, and when it ends: the compiled server, and jobs of a real kernel. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { assertStatus, TestClient } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { MAX_WINDOW_BYTES, RawConnection } from "../support/raw_reader.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

/** Far above any delay of a server that is told of new output, far below one that looks now and then. */
const PROMPT_MS = 250;

function test(name: string, body: (server: TestServer) => Promise<void>): void {
  Deno.test(`stream: ${name}`, async () => {
    await using server = await TestServer.start();
    await body(server);
  });
}

test("all 256 values of a byte, 10 MiB of them in any order, arrive as they are", async (server) => {
  const bytes = randomBytes(10 * 1024 ** 2);
  assert.equal(new Set(bytes).size, 256);
  const file = join(server.folder, "bytes");
  await Deno.writeFile(file, bytes);
  const client = server.client();
  const job = await client.start("/bin/cat", file);
  assert.equal(sha256(await client.output(job)), sha256(bytes));
  const { bytes: printed } = await run(join(BIN_DIR, "worker-client"), ["stream", job], {
    env: server.cliEnvironment(),
  });
  assert.equal(sha256(printed), sha256(bytes));
});

test("no message ends inside a character where the output is UTF-8", async (server) => {
  // Characters of 1, 2, 3 and 4 bytes in a pattern that meets the edge of a read in every way.
  const text = "a\u{e9}\u{20ac}\u{1f600}\n".repeat(60_001);
  const file = join(server.folder, "text");
  await Deno.writeTextFile(file, text);
  const client = server.client();
  for (const offset of [0, 1, 3, 6]) { // Each is the beginning of a character.
    const job = await client.start("/usr/bin/tail", "-c", `+${offset + 1}`, file);
    const { parts } = await collectText(client, { jobID: job });
    assert(parts.length > 1, "one message has no end to test");
    assert.equal(parts.join(""), decoder.decode(encoder.encode(text).subarray(offset)));
  }
});

test("a character that is written in pieces, with pauses, comes whole", async (server) => {
  const client = server.client();
  const job = await client.shell(
    "for byte in 141 303 251 342 202 254 360 237 230 200 172; do " +
      'printf "\\\\$byte"; sleep 0.1; done',
  );
  const { parts } = await collectText(client, { jobID: job });
  assert.equal(parts.join(""), "a\u{e9}\u{20ac}\u{1f600}z");
  assert(parts.length > 1, "the output came only when the job had ended");
});

test("bytes that are no UTF-8 pass untouched, also those that only begin like it", async (server) => {
  const client = server.client();
  const cases: [string, number[]][] = [
    ["\\200\\201", [0x80, 0x81]],
    ["\\377\\376\\375", [0xff, 0xfe, 0xfd]],
    ["\\303", [0xc3]],
    ["\\360\\237\\230", [0xf0, 0x9f, 0x98]],
    ["\\303(\\342\\202(", [0xc3, 0x28, 0xe2, 0x82, 0x28]],
    ["\\370\\200\\200\\200\\200", [0xf8, 0x80, 0x80, 0x80, 0x80]],
    ["\\0\\0", [0, 0]],
  ];
  for (const [text, bytes] of cases) {
    const atOnce = await client.shell(`printf '${text}'`);
    const inPieces = await client.shell(
      [...text.matchAll(/\\\d+|./g)].map(([byte]) => `printf '${byte}'; sleep 0.03`).join("\n"),
    );
    for (const job of [atOnce, inPieces]) {
      assert.deepEqual([...await client.output(job)], bytes, text);
    }
    // The end of what is there may be the middle of a character; without following it is sent.
    assert.deepEqual([...await client.output(atOnce, { noFollow: true })], bytes, text);
  }
});

test("opened before, during and after the job it gives the same bytes", async (server) => {
  const client = server.client();
  const job = await client.shell(
    'i=0; while [ "$i" -lt 400 ]; do echo "line $i"; i=$((i + 1)); [ -e "$1" ] || sleep 0.01; done',
    join(server.folder, "hurry"),
  );
  const before = client.output(job);
  await client.untilOutput(job, /line 50\n/);
  const during = client.output(job);
  const duringFromThere = client.output(job, { offset: encoder.encode("line 0\n").length });
  assert.equal((await client.query(job)).exited, false, "the job has ended too early");
  await Deno.writeTextFile(join(server.folder, "hurry"), "");
  await client.wait(job);
  const after = client.output(job);
  const expected = Array.from({ length: 400 }, (_, index) => `line ${index}\n`);
  for (const output of [before, during, after]) {
    assert.equal(decoder.decode(await output), expected.join(""));
  }
  assert.equal(decoder.decode(await duringFromThere), expected.slice(1).join(""));
});

test("many small writes, faster than a reader could be told of, all arrive in order", async (server) => {
  const client = server.client();
  const job = await client.shell(
    'i=0; while [ "$i" -lt 200000 ]; do echo "$i"; i=$((i + 1)); done',
  );
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join("");
  assert.equal(await client.text(job), expected);
});

test("20 readers at different speeds each get all of it", async (server) => {
  const bytes = randomBytes(8 * 1024 ** 2);
  const file = join(server.folder, "bytes");
  await Deno.writeFile(file, bytes);
  const starter = server.client();
  // The job writes for a while, so that the fast readers wait for it and the slow ones lag behind.
  const job = await starter.shell(
    'for part in 0 1 2 3 4 5 6 7; do dd if="$1" bs=1M skip=$part count=1 status=none; sleep 0.2; done',
    file,
  );
  const fast = Array.from({ length: 12 }, () => server.client().output(job));
  const slow = Array.from({ length: 8 }, (_, index) => readSlowly(server, job, 3 * (index + 1)));
  for (const output of await Promise.all([...fast, ...slow])) {
    assert.equal(sha256(output), sha256(bytes));
  }
});

test("it ends when the job ends, with what was written last", async (server) => {
  const client = server.client();
  const job = await client.shell(
    "exec 2>/dev/null; trap 'echo last words; exit 0' TERM; echo ready; while :; do sleep 0.05; done",
  );
  const output = client.text(job);
  await client.untilOutput(job, /ready/);
  await client.stop(job);
  assert.equal(await output, "ready\nlast words\n");
});

test("of a finished job it ends at once, also where there is no output", async (server) => {
  const client = server.client();
  for (const [script, output] of [["echo done", "done\n"], [":", ""]] as const) {
    const job = await client.shell(script);
    await client.wait(job);
    const begin = performance.now();
    assert.equal(await client.text(job), output);
    assert(performance.now() - begin < 20 * PROMPT_MS, "it waited for something");
  }
});

test("a line is there soon after it was written, also after a silence", async (server) => {
  const client = server.client();
  const job = await client.shell("for i in 1 2 3 4 5 6 7; do date +%s%N; sleep 0.4; done");
  const delaysMs: number[] = [];
  for await (const { output } of client.messages({ jobID: job })) {
    delaysMs.push(Date.now() - Number(decoder.decode(output)) / 1e6);
  }
  assert.equal(delaysMs.length, 7, "a line came late, together with the next one");
  delaysMs.sort((one, other) => one - other);
  assert((delaysMs[3] ?? Infinity) < PROMPT_MS, `${delaysMs.map(Math.round)} ms`);
});

/** The largest number of the wire. */
const MAX_UINT64 = "18446744073709551615";

const LONG_LINE = "x".repeat(200_000);

/** An output, a part that is asked for, and what it is. */
const RANGES: readonly [output: string, part: Omit<StreamRequest, "jobID">, expected: string][] = [
  ["one\ntwo\nthree\n", { tailLines: 0 }, ""],
  ["one\ntwo\nthree\n", { tailLines: 1 }, "three\n"],
  ["one\ntwo\nthree\n", { tailLines: 3 }, "one\ntwo\nthree\n"],
  ["one\ntwo\nthree\n", { tailLines: 4 }, "one\ntwo\nthree\n"],
  ["one\ntwo\nthree\n", { tailLines: Number.MAX_SAFE_INTEGER }, "one\ntwo\nthree\n"],
  ["one\ntwo\nthree", { tailLines: 1 }, "three"],
  ["one\ntwo\nthree", { tailLines: 2 }, "two\nthree"],
  ["one\ntwo\nthree", { tailLines: 3 }, "one\ntwo\nthree"],
  ["\n\n\n", { tailLines: 2 }, "\n\n"],
  ["\n", { tailLines: 1 }, "\n"],
  ["one\n\n", { tailLines: 1 }, "\n"],
  ["", { tailLines: 0 }, ""],
  ["", { tailLines: 3 }, ""],
  ["one", { tailLines: 3 }, "one"],
  [`${LONG_LINE}\n${LONG_LINE}\n`, { tailLines: 1 }, `${LONG_LINE}\n`],
  [`one\n${LONG_LINE}`, { tailLines: 2 }, `one\n${LONG_LINE}`],
  [`one\n${LONG_LINE}\ntwo`, { tailLines: 2 }, `${LONG_LINE}\ntwo`],
  ["one\n".repeat(100_000), { tailLines: 99_999 }, "one\n".repeat(99_999)],
  ["one\ntwo\n", { tailBytes: 0 }, ""],
  ["one\ntwo\n", { tailBytes: 1 }, "\n"],
  ["one\ntwo\n", { tailBytes: 6 }, "e\ntwo\n"],
  ["one\ntwo\n", { tailBytes: 9 }, "one\ntwo\n"],
  ["one\ntwo\n", { tailBytes: Number.MAX_SAFE_INTEGER }, "one\ntwo\n"],
  ["", { tailBytes: 5 }, ""],
  ["one\ntwo\n", { offset: 0 }, "one\ntwo\n"],
  ["one\ntwo\n", { offset: 5 }, "wo\n"],
  ["one\ntwo\n", { offset: 8 }, ""],
  ["one\ntwo\n", { offset: 9 }, ""],
  ["one\ntwo\n", { offset: 2 ** 40 }, ""],
  ["one\ntwo\n", { offset: Number.MAX_SAFE_INTEGER }, ""],
  ["one\ntwo\n", { offset: MAX_UINT64 }, ""],
  ["one\ntwo\n", { tailLines: MAX_UINT64 }, "one\ntwo\n"],
  ["one\ntwo\n", { tailBytes: MAX_UINT64 }, "one\ntwo\n"],
  ["", { offset: 0 }, ""],
  ["", { offset: 1 }, ""],
  [LONG_LINE, { offset: 70_000 }, LONG_LINE.slice(70_000)],
];

test("the part that is asked for, of a finished job and without following a running one", async (server) => {
  const client = server.client();
  const file = join(server.folder, "output");
  for (const [output, part, expected] of RANGES) {
    await Deno.writeTextFile(file, output);
    const finished = await client.start("/bin/cat", file);
    await client.wait(finished);
    const running = await client.shell('cat "$1"; exec sleep 60', file);
    await untilBytes(client, running, output.length);
    for (const request of [{ jobID: finished }, { jobID: running, noFollow: true }]) {
      const what = `${output.slice(0, 20)} ${JSON.stringify(part)} ${JSON.stringify(request)}`;
      const messages = await collect(client, { ...request, ...part });
      assert.equal(textOf(messages), expected, what);
      assertContiguous(messages, output.length - expected.length);
    }
    await client.stop(running, 0);
  }
});

test("a part goes on while the job runs", async (server) => {
  const client = server.client();
  const go = join(server.folder, "go");
  const job = await client.shell(
    'printf "one\\ntwo\\nthr"; until [ -e "$1" ]; do sleep 0.02; done; printf "ee\\nfour\\n"',
    go,
  );
  await untilBytes(client, job, "one\ntwo\nthr".length);
  const parts: [Omit<StreamRequest, "jobID">, string][] = [
    [{ tailLines: 0 }, "ee\nfour\n"],
    [{ tailLines: 1 }, "three\nfour\n"],
    [{ tailBytes: 2 }, "hree\nfour\n"],
    [{ offset: 4 }, "two\nthree\nfour\n"],
    [{ offset: "one\ntwo\nthree\n".length }, "four\n"], // Not written yet: waited for.
    [{ offset: 1000 }, ""],
    [{}, "one\ntwo\nthree\nfour\n"],
  ];
  const streams = parts.map(([part]) => collect(client, { jobID: job, ...part }));
  assert.equal(textOf(await collect(client, { jobID: job, noFollow: true })), "one\ntwo\nthr");
  await Deno.writeTextFile(go, "");
  for (const [index, [part, expected]] of parts.entries()) {
    assert.equal(textOf(await streams[index] ?? []), expected, JSON.stringify(part));
  }
});

test("two parts at once are refused", async (server) => {
  const client = server.client();
  const job = await client.shell("echo one");
  const requests: Omit<StreamRequest, "jobID">[] = [
    { offset: 0, tailLines: 1 },
    { offset: 0, tailBytes: 0 },
    { tailLines: 0, tailBytes: 0 },
    { offset: 1, tailLines: 1, tailBytes: 1 },
    { offset: 0, tailLines: 0, noFollow: true },
  ];
  for (const request of requests) {
    const output = client.output(job, request);
    await assertStatus(output, status.INVALID_ARGUMENT, /only one of offset, tail_lines and tail_/);
  }
  assert.equal(await client.text(job), "one\n");
});

test("an unknown job, and what cannot be a job's id, are not found", async (server) => {
  const client = server.client();
  const names = [
    "",
    "x",
    "../jobs.db",
    UNKNOWN_JOB,
    UNKNOWN_JOB.toUpperCase(),
    "x".repeat(10_000),
  ];
  for (const jobID of names) {
    await assertStatus(client.output(jobID), status.NOT_FOUND, /^No job has the id/);
  }
});

test("heartbeats come in silence and say where the stream is; nobody else gets any", async (server) => {
  const client = server.client();
  const job = await client.shell("printf 'ready\\303'; exec sleep 60");
  await untilBytes(client, job, 6);
  const quiet = collect(client, { jobID: job });
  const messages: StreamResponse__Output[] = [];
  for await (const message of client.messages({ jobID: job, heartbeatSeconds: 1 })) {
    messages.push(message);
    if (messages.length === 3) break;
  }
  // Half a character is held back, so the stream stands before it.
  assert.deepEqual(messages.map(({ output, offset }) => [decoder.decode(output), offset]), [
    ["ready", 0],
    ["", 5],
    ["", 5],
  ]);
  await client.stop(job, 0);
  const withoutHeartbeat = (await quiet).map(({ output, offset }) => [output.length, offset]);
  assert.deepEqual(withoutHeartbeat, [[5, 0], [1, 5]]);
});

test("a job that is removed while it is read ends for its reader like any other", async (server) => {
  const client = server.client();
  const file = join(server.folder, "bytes");
  const bytes = randomBytes(16 * 1024 ** 2);
  await Deno.writeFile(file, bytes);
  const job = await client.start("/bin/cat", file);
  await client.wait(job);
  using connection = await RawConnection.open(server, MAX_WINDOW_BYTES);
  const hash = createHash("sha256");
  const stream = await connection.stream({ jobID: job }, ({ output }) => hash.update(output));
  await stream.readUntil(1);
  await client.remove(job);
  await assertStatus(client.output(job), status.NOT_FOUND);
  await stream.readAll();
  assert.equal(hash.digest("hex"), sha256(bytes));
});

/** Reads with a pause after each piece, and takes nothing from the socket meanwhile. */
async function readSlowly(server: TestServer, job: string, pauseMs: number): Promise<Uint8Array> {
  using connection = await RawConnection.open(server, MAX_WINDOW_BYTES);
  const parts: Uint8Array[] = [];
  const stream = await connection.stream({ jobID: job }, ({ output }) => parts.push(output));
  while (!stream.isEnded) {
    await connection.read();
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return Buffer.concat(parts);
}

async function collect(
  client: TestClient,
  request: StreamRequest,
): Promise<StreamResponse__Output[]> {
  return await Array.fromAsync(client.messages(request));
}

/** Each message as a text; throws where one of them is none. */
async function collectText(
  client: TestClient,
  request: StreamRequest,
): Promise<{ parts: string[] }> {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const messages = await collect(client, request);
  assertContiguous(messages, 0);
  return { parts: messages.map(({ output }) => strict.decode(output)) };
}

function textOf(messages: readonly StreamResponse__Output[]): string {
  return decoder.decode(Buffer.concat(messages.map(({ output }) => output)));
}

/** Each message says where it begins: there where the one before has ended. */
function assertContiguous(messages: readonly StreamResponse__Output[], begin: number): void {
  let next = begin;
  for (const { output, offset, gapBytes } of messages) {
    assert.deepEqual({ offset, gapBytes }, { offset: next, gapBytes: 0 });
    next += output.length;
  }
}

async function untilBytes(client: TestClient, job: string, bytes: number): Promise<void> {
  await until(
    `${bytes} bytes of output`,
    async () => (await client.query(job)).outputBytes === bytes,
  );
}

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += 65_536) {
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  }
  return bytes;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
