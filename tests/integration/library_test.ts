/** The library against the compiled server. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Gap, JobWorkerClient, JobWorkerError, type StreamOptions } from "../../client/mod.ts";
import { Authority } from "../support/client_certificates.ts";
import { FakeServer, LOOPBACK, refusal } from "../support/client_fake.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const decoder = new TextDecoder();

/** A job's id that no job has. */
const NOBODY = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

interface World {
  server: TestServer;
  /** As alice, a writer. */
  client: JobWorkerClient;
}

function connect(server: TestServer, name = "alice"): Promise<JobWorkerClient> {
  return JobWorkerClient.connect({
    server: server.address,
    identity: server.pki.file(`${name}.pem`),
  });
}

function test(name: string, fn: (world: World) => Promise<void>, flags: string[] = []): void {
  Deno.test({
    name: `library: ${name}`,
    // grpc-js ends sockets and timers some time after it was told to.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const metrics = ["--metrics-listen", "127.0.0.1:0"];
      await using server = await TestServer.start({ flags: [...metrics, ...flags] });
      using client = await connect(server);
      await fn({ server, client });
    },
  });
}

/** Asserts that it fails with this code, and that its message matches. */
async function assertCode(
  action: () => unknown,
  code: JobWorkerError["code"],
  message = /./,
): Promise<JobWorkerError> {
  try {
    await action();
  } catch (error) {
    assert(error instanceof JobWorkerError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return error;
  }
  assert.fail("it succeeded");
}

/** Streams and connections that are open at the server. */
async function openAt(server: TestServer): Promise<{ streams: number; connections: number }> {
  const port = /"metricsPort":(\d+)/.exec(server.log)?.[1];
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const read = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  return { streams: read("job_worker_open_streams"), connections: read("job_worker_connections") };
}

async function readAll(
  client: JobWorkerClient,
  jobID: string,
  options: StreamOptions = {},
): Promise<{ text: string; gaps: Gap[] }> {
  let text = "";
  const gaps: Gap[] = [];
  for await (const chunk of client.stream(jobID, options)) {
    if (chunk instanceof Gap) gaps.push(chunk);
    else text += decoder.decode(chunk, { stream: true });
  }
  return { text, gaps };
}

test("a job's whole life: start, query, signal, stop, list, remove", async ({ client }) => {
  const before = new Date();
  const jobID = await client.start(["sh", "-c", "cat; echo $A; exec sleep 600"], {
    name: "whole-life",
    labels: { team: "a" },
    env: { A: "b" },
    stdin: "input\n",
    workingDirectory: "/tmp",
    umask: 0o027,
    timeoutMs: 500_000,
    limits: { processes: 50 },
    isolation: { privateTmp: true },
  });
  for await (const line of client.lines(jobID)) if (line === "b") break;
  const job = await client.query("whole-life");
  assert.deepEqual(
    [job.jobID, job.state, job.exitCode, job.name, job.labels, job.owner, job.workingDirectory],
    [jobID, "running", null, "whole-life", { team: "a" }, "alice", "/tmp"],
  );
  assert.deepEqual([job.timeoutMs, job.limits, job.isolation.privateTmp], [500_000, {
    processes: 50,
  }, true]);
  assert(job.startedAt.getTime() >= before.getTime() - 1000 && job.endedAt === null);
  const [rated] = await client.stats({ labels: { team: "a" }, intervalMs: 50 });
  assert.equal(rated?.job.jobID, jobID);
  assert.equal(typeof rated.cpuPercent, "number");
  await client.signal("whole-life", "STOP");
  await client.signal("whole-life", "CONT");
  await client.stop("whole-life", { graceMs: 5000 });
  const ended = await client.wait(jobID);
  assert.deepEqual([ended.state, ended.exitCode, ended.signal], ["exited", 143, 15]);
  const listed = await Array.fromAsync(
    client.list({ labels: { team: "a" }, startedAfter: new Date(0) }),
  );
  assert.deepEqual(listed.map((entry) => entry.jobID), [jobID]);
  await client.remove(jobID);
  await assertCode(() => client.query(jobID), "NOT_FOUND");
});

test("info: says who the program is", async ({ client }) => {
  const info = await client.info();
  assert.deepEqual([info.yourName, info.yourRoles, client.userName], [
    "alice",
    ["writer"],
    "alice",
  ]);
  assert(Math.abs(info.time.getTime() - Date.now()) < 60_000);
});

test("list: pages are asked for as the loop comes to them, and states narrow", async ({ client }) => {
  for (let count = 0; count < 5; count++) await client.wait(await client.start(["true"]));
  const running = await client.start(["sleep", "600"]);
  const count = async (options: Parameters<typeof client.list>[0]) =>
    (await Array.fromAsync(client.list(options))).length;
  assert.deepEqual(
    await Promise.all(
      [{}, { limit: 2 }, { limit: 0 }, { states: ["running"] as const }].map(count),
    ),
    [6, 2, 0, 1],
  );
  assert.equal(await count({ owner: "bob" }), 0);
  assert.equal(await count({ startedBefore: new Date(1000) }), 0);
  for await (const job of client.list()) {
    assert.equal(job.jobID, running);
    break;
  }
});

test("run: output, exit code, and what a tail leaves out", async ({ client }) => {
  const script = "printf 0123456789; exit 3";
  const { exitCode, output, droppedBytes, job } = await client.run(["sh", "-c", script]);
  assert.deepEqual([exitCode, decoder.decode(output), droppedBytes], [3, "0123456789", 0]);
  assert.equal(job.state, "exited");
  const short = await client.run(["sh", "-c", script], { maxOutputBytes: 4 });
  assert.deepEqual([decoder.decode(short.output), short.droppedBytes], ["6789", 6]);
});

test("run: an abort stops the job and throws the reason", async ({ client }) => {
  const controller = new AbortController();
  let jobID = "";
  const running = client.run(["sh", "-c", "echo ready; exec sleep 600"], {
    signal: controller.signal,
    onStart: (id) => jobID = id,
    onOutput: () => controller.abort(new Error("enough")),
  });
  await assert.rejects(running, /enough/);
  assert.equal((await client.query(jobID)).signal, 15);
});

test("run: so does a function that throws, and so does the time", async ({ client }) => {
  let jobID = "";
  const onStart = (id: string) => jobID = id;
  const command = ["sh", "-c", "echo ready; exec sleep 600"];
  const thrown = client.run(command, {
    onStart: (id) => void onStart(id),
    onOutput: () => Promise.reject(new TypeError("mine")),
  });
  await assert.rejects(thrown, /mine/);
  assert.equal((await client.query(jobID)).signal, 15);
  const timed = () =>
    client.run(command, { onStart: (id) => void onStart(id), callTimeoutMs: 1000 });
  await assertCode(timed, "DEADLINE_EXCEEDED", /"run" did not end within 1000 ms/);
  assert.equal((await client.query(jobID)).signal, 15);
});

test("run: leaves the job alone where it is told so, and when the client is closed", async ({ server, client }) => {
  const ids: string[] = [];
  const onStart = (id: string) => void ids.push(id);
  const controller = new AbortController();
  const options = { onStart, stopOnAbort: false, signal: controller.signal };
  const left = client.run(["sleep", "600"], options);
  await until("the job to be started", () => ids.length === 1);
  controller.abort(new Error("enough"));
  await assert.rejects(left, /enough/);
  const closing = await connect(server);
  const closed = assertCode(() => closing.run(["sleep", "600"], { onStart }), "CLOSED");
  await until("the job to be started", () => ids.length === 2);
  closing.close();
  await closed;
  for (const id of ids) assert.equal((await client.query(id)).state, "running");
});

test("start: the same key is one start", async ({ client }) => {
  const options = { idempotencyKey: "nightly" };
  const jobID = await client.start(["sleep", "600"], options);
  assert.equal(await client.start(["sleep", "600"], options), jobID);
  await assertCode(() => client.start(["sleep", "601"], options), "FAILED_PRECONDITION");
  assert.notEqual(await client.start(["sleep", "600"]), jobID);
});

const REFUSED: readonly (readonly [
  name: string,
  call: (client: JobWorkerClient) => unknown,
  code: JobWorkerError["code"],
])[] = [
  ["query of an unknown id", (c) => c.query(NOBODY), "NOT_FOUND"],
  ["stop of an unknown id", (c) => c.stop(NOBODY), "NOT_FOUND"],
  ["wait for an unknown id", (c) => c.wait(NOBODY), "NOT_FOUND"],
  ["wait for an unknown name", (c) => c.wait("nobody"), "NOT_FOUND"],
  ["signal to an unknown id", (c) => c.signal(NOBODY, "HUP"), "NOT_FOUND"],
  ["remove of an unknown id", (c) => c.remove(NOBODY), "NOT_FOUND"],
  ["stream of an unknown id", (c) => readAll(c, NOBODY), "NOT_FOUND"],
  ["stream of an unknown name", (c) => readAll(c, "nobody"), "NOT_FOUND"],
  ["lines of an unknown id", (c) => c.lines(NOBODY).next(), "NOT_FOUND"],
  ["a program that is not there", (c) => c.start(["/no/such/program"]), "INVALID_ARGUMENT"],
  ["a text as one program", (c) => c.start(["ls -la"]), "INVALID_ARGUMENT"],
  ["a relative directory", (c) => c.start(["ls"], { workingDirectory: "a" }), "INVALID_ARGUMENT"],
  ["an invalid label", (c) => c.start(["ls"], { labels: { "a b": "" } }), "INVALID_ARGUMENT"],
  ["an unknown signal", (c) => c.start(["ls"], { stopSignal: "SIGNO" }), "INVALID_ARGUMENT"],
];

Deno.test({
  name: "library: what the server refuses has its code",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    await using server = await TestServer.start();
    using client = await connect(server);
    for (const [name, call, code] of REFUSED) {
      await t.step(name, async () => void await assertCode(() => call(client), code));
    }
  },
});

test("states that forbid it have a code of their own", async ({ client }) => {
  const running = await client.start(["sleep", "600"], { title: "one" });
  await assertCode(() => client.remove(running), "FAILED_PRECONDITION");
  await assertCode(
    () => client.start(["sleep", "600"], { title: "one" }),
    "FAILED_PRECONDITION",
    /one/,
  );
  await client.stop(running, { graceMs: 0 });
  await assertCode(() => client.stop(running), "FAILED_PRECONDITION", /already exited/);
  await assertCode(() => client.signal(running, "HUP"), "FAILED_PRECONDITION");
});

test("a reader is refused what writers may, and may read", async ({ server, client }) => {
  const jobID = await client.start(["sh", "-c", "echo hello; exec sleep 600"]);
  using bob = await connect(server, "bob");
  for (
    const call of [
      () => bob.start(["ls"]),
      () => bob.run(["ls"]),
      () => bob.stop(jobID),
      () => bob.signal(jobID, "HUP"),
      () => bob.remove(jobID),
    ]
  ) await assertCode(call, "PERMISSION_DENIED");
  assert.equal((await bob.query(jobID)).state, "running");
  assert.equal((await bob.lines(jobID).next()).value, "hello");
});

test("stream: follows to the end, and begins where it is told", async ({ server, client }) => {
  const go = join(server.folder, "go");
  const jobID = await client.start([
    "sh",
    "-c",
    'echo one; until [ -e "$0" ]; do sleep 0.01; done; echo two',
    go,
  ]);
  const stream = client.stream(jobID);
  const chunks = stream[Symbol.asyncIterator]();
  assert.deepEqual((await chunks.next()).value, new TextEncoder().encode("one\n"));
  assert.equal(stream.offset, 4);
  assert.equal((await readAll(client, jobID, { follow: false })).text, "one\n");
  await Deno.writeTextFile(go, "");
  let text = "";
  for await (const chunk of chunks) if (chunk instanceof Uint8Array) text += decoder.decode(chunk);
  assert.deepEqual([text, stream.offset], ["two\n", 8]);
  assert.equal((await readAll(client, jobID, { offset: 2 })).text, "e\ntwo\n");
  assert.equal((await readAll(client, jobID, { tailLines: 1 })).text, "two\n");
  assert.equal((await readAll(client, jobID, { tailBytes: 3 })).text, "wo\n");
  const tail = client.stream(jobID, { tailBytes: 3 });
  assert.equal(tail.offset, undefined);
  for await (const _ of tail) assert.equal(tail.offset, 8);
});

test("stream: two at once, and of two jobs, do not mix", async ({ client }) => {
  const script = (word: string) =>
    `i=0; while [ $i -lt 3000 ]; do echo ${word}$i; i=$((i+1)); done`;
  const expected = (word: string) =>
    Array.from({ length: 3000 }, (_, at) => `${word}${at}\n`).join("");
  const [a, b] = await Promise.all(
    ["a", "b"].map((word) => client.start(["sh", "-c", script(word)])),
  );
  const texts = await Promise.all([a, a, b].map((id = "") => readAll(client, id)));
  assert.deepEqual(texts.map(({ text }) => text), [expected("a"), expected("a"), expected("b")]);
});

test("stream: more than one connection's share, byte for byte, also when read slowly", async ({ client }) => {
  const jobID = await client.start(["sh", "-c", "seq -w 1 2000000"]);
  const expected = Array.from({ length: 2_000_000 }, (_, at) => String(at + 1).padStart(7, "0"));
  let index = 0;
  for await (const line of client.lines(jobID)) {
    if (line !== expected[index]) assert.fail(`line ${index} is ${String(line)}`);
    index++;
    // The first MiB is taken at once; a little later the queue is full, time and again.
    if (index > 100_000 && index % 50_000 === 0) await new Promise((wake) => setTimeout(wake, 5));
  }
  assert.equal(index, 2_000_000);
});

test("stream: a reader that stops holds back the server, not its own memory", async ({ server, client }) => {
  const jobID = await client.start(["head", "-c", "300000000", "/dev/zero"]);
  await client.wait(jobID);
  const streamed = async () => {
    const port = /"metricsPort":(\d+)/.exec(server.log)?.[1];
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^job_worker_streamed_bytes_total (\S+)$/m.exec(text)?.[1]);
  };
  const chunks = client.stream(jobID)[Symbol.asyncIterator]();
  await chunks.next();
  let last = -1;
  await until("the server to be held back", async () => {
    const now = await streamed();
    const isStill = now === last && now > 1_000_000;
    last = now;
    if (!isStill) await new Promise((wake) => setTimeout(wake, 200));
    return isStill;
  });
  assert(last < 40_000_000, `${last} bytes were sent to a reader that takes nothing`);
  let length = 0;
  for await (const chunk of chunks) length += chunk.length;
  assert(length > 299_000_000, `${length}`);
});

test("stream: an iterator that is left ends its call on the server", async ({ server, client }) => {
  const jobID = await client.start(["sh", "-c", "echo ready; exec sleep 600"]);
  const before = await openAt(server);
  for (let round = 0; round < 5; round++) {
    for await (const _ of client.stream(jobID)) break;
    for await (const _ of client.lines(jobID)) break;
    await assert.rejects(async () => {
      for await (const _ of client.stream(jobID)) throw new Error("mine");
    }, /mine/);
  }
  await until("the streams to be closed", async () => {
    const { streams, connections } = await openAt(server);
    return streams === 0 && connections <= before.connections;
  });
});

test("stream: an abort ends it while it waits, and its call", async ({ server, client }) => {
  const jobID = await client.start(["sh", "-c", "echo ready; exec sleep 600"]);
  const controller = new AbortController();
  const chunks = client.stream(jobID, { signal: controller.signal })[Symbol.asyncIterator]();
  await chunks.next();
  const waiting = chunks.next();
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assertCode(() => readAll(client, jobID, { callTimeoutMs: 50 }), "DEADLINE_EXCEEDED");
  await until("the streams to be closed", async () => (await openAt(server)).streams === 0);
  assert.equal((await client.query(jobID)).state, "running");
});

test("stream: an abort ends a long one that waits on its second connection", async ({ server, client }) => {
  const script = "head -c 5000000 /dev/zero; exec sleep 600";
  const jobID = await client.start(["sh", "-c", script]);
  const controller = new AbortController();
  let length = 0;
  const reading = (async () => {
    for await (const chunk of client.stream(jobID, { signal: controller.signal })) {
      length += chunk.length;
    }
  })();
  const ended = assert.rejects(reading, /enough/);
  await until("all that there is", () => length === 5_000_000);
  const abortedAtMs = performance.now();
  controller.abort(new Error("enough"));
  await ended;
  assert(performance.now() - abortedAtMs < 2_000);
  await until("the streams to be closed", async () => (await openAt(server)).streams === 0);
});

test("wait: an abort of one leaves the others and their connection alone", async ({ server, client }) => {
  const jobID = await client.start(["sleep", "600"]);
  const controller = new AbortController();
  const given = assert.rejects(client.wait(jobID, { signal: controller.signal }), /enough/);
  let losses = 0;
  const other = client.wait(jobID, { onLost: () => losses++ });
  await client.info();
  const { connections } = await openAt(server);
  controller.abort(new Error("enough"));
  await given;
  await client.info();
  assert.equal((await openAt(server)).connections, connections);
  await client.stop(jobID, { graceMs: 0 });
  assert.deepEqual([(await other).signal, losses], [9, 0]);
});

test("stream: an abort in the middle of much output ends it at once", async ({ server, client }) => {
  const jobID = await client.start(["yes"]);
  const controller = new AbortController();
  let length = 0;
  await assert.rejects(async () => {
    for await (const chunk of client.stream(jobID, { signal: controller.signal })) {
      assert(!controller.signal.aborted, "a chunk came after the abort");
      length += chunk.length;
      if (length > 5_000_000) controller.abort(new Error("enough"));
    }
  }, /enough/);
  await client.stop(jobID, { graceMs: 0 });
  await until("the streams to be closed", async () => (await openAt(server)).streams === 0);
});

test("stream: what was rotated away is a gap, for lines as well", async ({ client }) => {
  const jobID = await client.start(["sh", "-c", "head -c 8000000 /dev/zero; printf 'end\\n'"]);
  await client.wait(jobID);
  const { outputBytes, outputFirstOffset } = await client.query(jobID);
  assert(outputFirstOffset > 0, "nothing was rotated away");
  const { text, gaps } = await readAll(client, jobID);
  assert.deepEqual(gaps, [new Gap(0, outputFirstOffset)]);
  assert.equal(outputFirstOffset + text.length, outputBytes);
  const lines = await Array.fromAsync(client.lines(jobID));
  assert(lines[0] instanceof Gap);
  assert.match(String(lines.at(-1)), /end$/);
  const { output, droppedBytes } = await client.run(["sh", "-c", "head -c 9000000 /dev/zero"]);
  assert.equal(output.length + droppedBytes, 9_000_000);
}, ["--max-output", "1M"]);

test("stream and wait: go on over a restart of the server", async ({ server, client }) => {
  const go = join(server.folder, "go");
  const jobID = await client.start([
    "sh",
    "-c",
    'seq 1 1000; until [ -e "$0" ]; do sleep 0.01; done; seq 1001 2000; exit 7',
    go,
  ]);
  const expected = Array.from({ length: 2000 }, (_, at) => `${at + 1}`);
  const events: string[] = [];
  const lines: (string | Gap)[] = [];
  const reading = (async () => {
    const onLost = (offset: number | undefined) => void events.push(`lost ${offset}`);
    const onResumed = (offset: number) => void events.push(`resumed ${offset}`);
    for await (const line of client.lines(jobID, { onLost, onResumed })) lines.push(line);
  })();
  const waits: string[] = [];
  const waiting = client.wait(jobID, { onLost: () => void waits.push("lost") });
  await until("the first half", () => lines.length === 1000);
  await server.end("SIGKILL");
  await until("the loss to be noticed", () => events.length === 1 && waits.length === 1);
  await server.launch();
  await Deno.writeTextFile(go, "");
  await reading;
  assert.deepEqual(lines, expected);
  assert.deepEqual(events, ["lost 3893", "resumed 3893"]);
  assert.equal((await waiting).exitCode, 7);
  assert.equal((await client.query(jobID)).state, "exited");
});

test("a server that stays away: the codes, and aborts of what is tried again", async ({ server, client }) => {
  const jobID = await client.start(["sh", "-c", "echo ready; exec sleep 600"]);
  const chunks = client.stream(jobID, { retryForMs: 0 })[Symbol.asyncIterator]();
  await chunks.next();
  const controller = new AbortController();
  let isLost = false;
  const patient = client.wait(jobID, { signal: controller.signal, onLost: () => isLost = true });
  const given = assert.rejects(patient, /enough/);
  const streamEnd = assertCode(() => chunks.next(), "UNAVAILABLE");
  await until("the wait to be under way", async () => (await openAt(server)).streams === 1);
  await server.end("SIGKILL");
  await streamEnd;
  await until("the loss to be noticed", () => isLost);
  controller.abort(new Error("enough"));
  await given;
  await assertCode(() => client.query(jobID, { callTimeoutMs: 300 }), "DEADLINE_EXCEEDED");
  await assertCode(() => client.wait(jobID, { retryForMs: 0 }), "UNAVAILABLE");
  const options = {
    server: server.address,
    identity: server.pki.file("alice.pem"),
    retryFirst: false,
  };
  await assertCode(() => JobWorkerClient.connect(options), "UNAVAILABLE", /connection refused/);
  await assertCode(
    () => JobWorkerClient.connect({ ...options, retryFirst: true, callTimeoutMs: 300 }),
    "DEADLINE_EXCEEDED",
  );
});

Deno.test({
  name: "library: start: an answer that never comes leaves the outcome unknown, with the key",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const authority = await Authority.create();
    const pair = await authority.issue({ name: "server", names: LOOPBACK });
    const { cert, key } = await authority.issue({ name: "alice" });
    await using server = await FakeServer.start(pair, authority.cert);
    const identity = { ca: authority.cert, cert, key };
    using client = await JobWorkerClient.connect({
      server: `localhost:${server.port}`,
      ...identity,
    });
    const timeout = refusal(4, "");
    server.script.Start = [timeout, timeout];
    const start = () => client.start(["ls"], { idempotencyKey: "nightly" });
    const error = await assertCode(start, "UNKNOWN_OUTCOME", /may have been started/);
    assert.equal(error.idempotencyKey, "nightly");
    const own = await assertCode(() => client.start(["ls"]), "UNKNOWN_OUTCOME");
    assert.equal(own.idempotencyKey, server.requestsOf("Start")[1]?.["idempotencyKey"]);
  },
});

test("a server of another CA is not trusted", async ({ server }) => {
  const authority = await Authority.create("another CA");
  const pair = await authority.issue({ name: "mallory" });
  const options = { ca: authority.cert, cert: pair.cert, key: pair.key };
  await assertCode(
    () => JobWorkerClient.connect({ server: server.address, ...options }),
    "UNAVAILABLE",
    /its certificate was not signed by the CA in .*\. Name the right CA with the option "ca"/,
  );
});

test("close: ends what is under way with CLOSED, and the connections", async ({ server, client }) => {
  const jobID = await client.start(["sleep", "600"]);
  const before = await openAt(server);
  const closing = await connect(server);
  const calls = [
    assertCode(() => closing.wait(jobID), "CLOSED"),
    assertCode(() => readAll(closing, jobID), "CLOSED"),
  ];
  await until("the stream to be open", async () => (await openAt(server)).streams > 0);
  closing.close();
  await Promise.all(calls);
  await until("the connections to be closed", async () => {
    const { streams, connections } = await openAt(server);
    return streams === 0 && connections <= before.connections;
  });
});

test("fromEnvironment: what the command line would take", async ({ server }) => {
  const environment = server.cliEnvironment();
  const earlier = Object.keys(environment).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
    using client = JobWorkerClient.fromEnvironment();
    assert.equal((await client.info()).yourName, "alice");
    using bob = JobWorkerClient.fromEnvironment({ identity: server.pki.file("bob.pem") });
    assert.equal((await bob.info()).yourName, "bob");
    await assertCode(
      () => JobWorkerClient.fromEnvironment({ context: "nobody" }),
      "INVALID_ARGUMENT",
      /nobody/,
    );
    await assertCode(() => JobWorkerClient.fromEnvironment({ identity: "/nowhere" }), "IDENTITY");
  } finally {
    for (const [name, value] of earlier) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});
