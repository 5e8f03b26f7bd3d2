/** The library without a server: what it is handed, what it makes of errors, and its parts. */
import { strict as assert } from "node:assert";
import { ConnectionFailure } from "../../client/connection/connection_failure.ts";
import {
  ClientError,
  ConnectionLostError,
  GrpcStatus,
  RefusedCallError,
} from "../../client/errors.ts";
import { ExitStatus } from "../../client/exit_status.ts";
import { CallScope } from "../../client/api/call_scope.ts";
import { toJobWorkerError } from "../../client/api/error_mapping.ts";
import { toJob } from "../../client/api/job.ts";
import { toLines } from "../../client/api/lines.ts";
import { OutputQueue } from "../../client/api/output_queue.ts";
import { OutputTail } from "../../client/api/output_tail.ts";
import { Gap, JobWorkerClient, JobWorkerError, type OpenOptions } from "../../client/mod.ts";
import { pause, unlessAborted } from "../../client/connection/abort.ts";
import { toStartRequest, UnknownOutcomeError } from "../../client/jobs/start.ts";
import { jobService } from "../../proto/contract.ts";
import { Authority } from "../support/client_certificates.ts";

const authority = await Authority.create();
const alice = await authority.issue({ name: "alice" });
const bundle = alice.key + alice.cert + authority.cert;

function open(options: OpenOptions = {}): JobWorkerClient {
  return JobWorkerClient.open({ identity: bundle, server: "127.0.0.1:1", ...options });
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

async function* of<T>(...items: T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item);
}

const text = (value: string) => new TextEncoder().encode(value);

// deno-lint-ignore no-explicit-any -- what a program without types would hand over
type Anything = any;

/** Invalid calls, some of which the compiler would refuse, and their errors. Nothing listens at the port. */
const BAD_CALLS: readonly (readonly [
  name: string,
  call: (client: JobWorkerClient) => unknown,
  message: RegExp,
])[] = [
  [
    "start: a text in the place of a command",
    (c) => c.start("ls -la" as Anything),
    /\["ls", "-la"\]/,
  ],
  ["start: no program", (c) => c.start([]), /command is empty/],
  ["start: an empty program", (c) => c.start([""]), /command is empty/],
  ["start: a number as an argument", (c) => c.start(["sleep", 5 as Anything]), /expected a string/],
  ["start: an invalid time", (c) => c.start(["ls"], { timeoutMs: NaN }), /timeoutMs NaN/],
  ["start: a negative time", (c) => c.start(["ls"], { timeoutMs: -1 }), /timeoutMs -1/],
  ["start: half a millisecond", (c) => c.start(["ls"], { graceMs: 0.5 }), /graceMs 0.5/],
  ["start: a grace beyond the field", (c) => c.start(["ls"], { graceMs: 2 ** 32 }), /graceMs/],
  ["start: a umask beyond 777", (c) => c.start(["ls"], { umask: 0o1000 }), /umask 512/],
  [
    "start: CPUs as an array",
    (c) => c.start(["ls"], { limits: { allowedCpus: [0] as Anything } }),
    /use limits\.allowedCpus: expected a string/,
  ],
  ["start: infinite cores", (c) => c.start(["ls"], { limits: { cpuCores: Infinity } }), /cpuCores/],
  [
    "start: memory as a text",
    (c) => c.start(["ls"], { limits: { memoryBytes: "1M" as Anything } }),
    /memoryBytes 1M/,
  ],
  ["start: labels as an array", (c) => c.start(["ls"], { labels: ["a=b"] as Anything }), /labels/],
  [
    "start: a label that is a number",
    (c) => c.start(["ls"], { labels: { a: 1 as Anything } }),
    /labels\.a/,
  ],
  [
    "start: a variable that is not a string",
    (c) => c.start(["ls"], { env: { A: null as Anything } }),
    /env\.A/,
  ],
  ["start: input that is not a string", (c) => c.start(["ls"], { stdin: 5 as Anything }), /stdin/],
  [
    "start: input that is too long",
    (c) => c.start(["ls"], { stdin: new Uint8Array(2 ** 21 + 1) }),
    /larger than 2 MiB/,
  ],
  ["start: a user that is not a string", (c) => c.start(["ls"], { user: 0 as Anything }), /user/],
  ["run: an invalid bound", (c) => c.run(["ls"], { maxOutputBytes: -1 }), /maxOutputBytes/],
  ["run: no program", (c) => c.run([]), /command is empty/],
  ["stop: no id", (c) => c.stop(""), /which job/],
  ["stop: an invalid grace period", (c) => c.stop("x", { graceMs: -5 }), /graceMs/],
  ["query: no id", (c) => c.query(undefined as Anything), /which job/],
  ["query: an invalid signal", (c) => c.query("x", { signal: {} as Anything }), /AbortSignal/],
  [
    "query: a time beyond a timer",
    (c) => c.query("x", { callTimeoutMs: 2 ** 31 }),
    /callTimeoutMs/,
  ],
  [
    "list: an unknown state",
    (c) => c.list({ states: ["done" as Anything] }),
    /"done" is not a job state/,
  ],
  ["list: an invalid date", (c) => c.list({ startedAfter: new Date("x") }), /startedAfter/],
  ["list: an invalid bound", (c) => c.list({ limit: 1.5 }), /limit 1\.5/],
  ["stream: no id", (c) => c.stream(""), /which job/],
  [
    "events: two places to begin",
    (c) => c.events({ after: "7", since: new Date(0) }),
    /two positions/,
  ],
  ["events: an unknown option", (c) => c.events({ label: {} } as Anything), /"labels"/],
  ["events: a text as a time", (c) => c.events({ since: "1h" as Anything }), /since/],
  [
    "stream: two places to begin",
    (c) => c.stream("x", { offset: 0, tailLines: 1 }),
    /two positions/,
  ],
  ["stream: an invalid offset", (c) => c.stream("x", { offset: -1 }), /offset -1/],
  ["lines: an invalid tail", (c) => c.lines("x", { tailLines: NaN }), /tailLines/],
  ["wait: an invalid time", (c) => c.wait("x", { retryForMs: NaN }), /retryForMs/],
  [
    "update: an unknown limit",
    (c) => c.update("x", { reset: ["memory" as Anything] }),
    /expected one/,
  ],
  ["update: no number", (c) => c.update("x", { limits: { cpuCores: NaN } }), /limits\.cpuCores/],
  ["update: reset of a text", (c) => c.update("x", { reset: "cpuCores" as Anything }), /an array/],
  ["update: an unknown option", (c) => c.update("x", { memory: 1 } as Anything), /memoryBytes/],
  ["signal: no id", (c) => c.signal("", "HUP"), /which job/],
  ["signal: no signal", (c) => c.signal("x", undefined as Anything), /signal/],
  ["remove: no id", (c) => c.remove(""), /which job/],
  [
    "start: a limit among the options",
    (c) => c.start(["ls"], { memory: "64M" } as Anything),
    /no option "memory"\. Did you mean "limits\.memoryBytes"\?/,
  ],
  [
    "start: an option without its unit",
    (c) => c.start(["ls"], { timeout: 1000 } as Anything),
    /no option "timeout"\. Did you mean "timeoutMs"\?/,
  ],
  [
    "start: an unknown limit",
    (c) => c.start(["ls"], { limits: { memory: 1 } as Anything }),
    /no option "limits\.memory"\. Did you mean "limits\.memoryBytes"\?/,
  ],
  [
    "start: an unknown isolation",
    (c) => c.start(["ls"], { isolation: { privateTemp: true } as Anything }),
    /no option "isolation\.privateTemp"\. Did you mean "isolation\.privateTmp"\?/,
  ],
  ["start: limits as a text", (c) => c.start(["ls"], { limits: "1M" as Anything }), /use limits/],
  ["start: no options", (c) => c.start(["ls"], null as Anything), /use the options/],
  [
    "run: the command line's word",
    (c) => c.run(["ls"], { cwd: "/tmp" } as Anything),
    /Did you mean "workingDirectory"\?/,
  ],
  [
    "run: an option that is nothing's",
    (c) => c.run(["ls"], { zzzzzz: 1 } as Anything),
    /The options are signal, .*limits\.memoryBytes/,
  ],
  ["stop: an unknown option", (c) => c.stop("x", { grace: 1 } as Anything), /"graceMs"/],
  ["query: an unknown option", (c) => c.query("x", { timeoutMs: 1 } as Anything), /callTimeoutMs/],
  ["list: an unknown option", (c) => c.list({ label: {} } as Anything), /"labels"/],
  ["stream: an unknown option", (c) => c.stream("x", { tail: 5 } as Anything), /"tailLines"/],
  ["lines: an unknown option", (c) => c.lines("x", { folow: true } as Anything), /"follow"/],
  ["wait: an unknown option", (c) => c.wait("x", { retryFor: 1 } as Anything), /"retryForMs"/],
  ["signal: an unknown option", (c) => c.signal("x", "HUP", { main: 1 } as Anything), /"mainOnly"/],
  ["remove: an unknown option", (c) => c.remove("x", { force: true } as Anything), /"force"/],
  ["stats: an unknown option", (c) => c.stats({ interval: 1 } as Anything), /"intervalMs"/],
  ["info: an unknown option", (c) => c.info({ x: 1 } as Anything), /"x"/],
  ["stats: an invalid interval", (c) => c.stats({ intervalMs: -1 }), /intervalMs/],
];

for (const [name, call, message] of BAD_CALLS) {
  Deno.test(`library: refuses without a connection: ${name}`, async () => {
    using client = open();
    await assertCode(() => call(client), "INVALID_ARGUMENT", message);
  });
}

const other = await Authority.create("another CA");
const mallory = await other.issue({ name: "mallory" });
const old = await authority.issue({ name: "old", fromMs: -2000, toMs: -1000 });

/** Identities that cannot work. */
const BAD_IDENTITIES: readonly (readonly [
  name: string,
  options: OpenOptions,
  code: JobWorkerError["code"],
  message: RegExp,
])[] = [
  ["none at all", {}, "INVALID_ARGUMENT", /"ca" and "cert" and "key" missing/],
  ["no key", { ca: "a", cert: "b" }, "INVALID_ARGUMENT", /"key" missing/],
  ["two kinds", { identity: bundle, key: "k" }, "INVALID_ARGUMENT", /together/],
  ["a number", { identity: 5 as Anything }, "INVALID_ARGUMENT", /identity/],
  ["a file that is not there", { identity: "/nowhere/a.pem" }, "IDENTITY", /\/nowhere\/a\.pem/],
  [
    "a key alone",
    { identity: alice.key },
    "IDENTITY",
    /certificate in the text of the option "identity"/,
  ],
  ["no CA", { identity: alice.key + alice.cert }, "IDENTITY", /with the option "ca"/],
  [
    "another's key",
    { ca: authority.cert, cert: alice.cert, key: mallory.key },
    "IDENTITY",
    /does not match/,
  ],
  ["another CA", { ca: other.cert, cert: alice.cert, key: alice.key }, "IDENTITY", /did not sign/],
  ["an expired one", { identity: old.key + old.cert + authority.cert }, "IDENTITY", /expired/],
  ["an unknown option", { identity: bundle, host: "x" } as Anything, "INVALID_ARGUMENT", /"host"/],
  ["a bad address", { identity: bundle, server: "a:b:c" }, "INVALID_ARGUMENT", /a:b:c/],
];

for (const [name, options, code, message] of BAD_IDENTITIES) {
  Deno.test(`library: no client is made of ${name}`, async () => {
    const error = await assertCode(() => JobWorkerClient.open(options), code, message);
    assert.doesNotMatch(error.message, /BEGIN|--[a-z]/);
    await assertCode(() => JobWorkerClient.connect(options), code, message);
  });
}

Deno.test("library: the identity as texts, in files, and in both", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, alice.key);
    for (
      const options of [
        { identity: bundle },
        { identity: alice.key + alice.cert, ca: authority.cert },
        { ca: authority.cert, cert: alice.cert, key: file },
      ]
    ) {
      using client = JobWorkerClient.open({ server: "worker1", ...options });
      assert.deepEqual([client.userName, client.server], ["alice", "worker1:50051"]);
      assert(client.expiresAt.getTime() > Date.now());
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("library: a closed client refuses every call", async () => {
  const client = open();
  client.close();
  client.close();
  const calls = [
    () => client.start(["ls"]),
    () => client.run(["ls"]),
    () => client.stop("x"),
    () => client.query("x"),
    () => client.list().next(),
    () => client.stream("x")[Symbol.asyncIterator]().next(),
    () => client.lines("x").next(),
    () => client.wait("x"),
    () => client.signal("x", "HUP"),
    () => client.remove("x"),
    () => client.stats(),
    () => client.info(),
  ];
  for (const call of calls) await assertCode(call, "CLOSED");
});

Deno.test("library: a signal that is aborted already is thrown, and nothing is dialed", async () => {
  using client = open();
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  for (
    const call of [
      () => client.query("x", { signal }),
      () => client.start(["ls"], { signal }),
      () => client.list({ signal }).next(),
      () => client.stream("x", { signal })[Symbol.asyncIterator]().next(),
    ]
  ) {
    await assert.rejects(async () => await call(), (error) => error === reason);
  }
});

Deno.test("library: a stream is read once", async () => {
  using client = open();
  const stream = client.stream("x");
  stream[Symbol.asyncIterator]();
  await assertCode(() => stream[Symbol.asyncIterator](), "FAILED_PRECONDITION", /twice/);
});

const { refused, connection, usage, failed } = ExitStatus;

/** Errors of the client, and what they are called in the library. */
const CODES: readonly (readonly [error: Error, code: JobWorkerError["code"]])[] = [
  [new RefusedCallError("x", GrpcStatus.invalidArgument), "INVALID_ARGUMENT"],
  [new RefusedCallError("x", GrpcStatus.notFound), "NOT_FOUND"],
  [new RefusedCallError("x", GrpcStatus.permissionDenied), "PERMISSION_DENIED"],
  [new RefusedCallError("x", GrpcStatus.unauthenticated), "IDENTITY"],
  [new RefusedCallError("x", GrpcStatus.failedPrecondition), "FAILED_PRECONDITION"],
  [new RefusedCallError("x", GrpcStatus.resourceExhausted), "RESOURCE_EXHAUSTED"],
  [new RefusedCallError("x", GrpcStatus.dataLoss), "DATA_LOSS"],
  [new RefusedCallError("x", GrpcStatus.deadlineExceeded), "DEADLINE_EXCEEDED"],
  [new RefusedCallError("x", GrpcStatus.unavailable), "UNAVAILABLE"],
  [new RefusedCallError("x", GrpcStatus.internal), "FAILED"],
  [new RefusedCallError("x", GrpcStatus.unimplemented), "FAILED"],
  [new ConnectionLostError("x"), "UNAVAILABLE"],
  [new ConnectionFailure("x", { final: true }), "UNAVAILABLE"],
  [new ConnectionFailure("x", { final: true, exitStatus: refused }), "IDENTITY"],
  [new UnknownOutcomeError("x", { exitStatus: connection, key: "k" }), "UNKNOWN_OUTCOME"],
  [new ClientError("x", refused), "IDENTITY"],
  [new ClientError("x", usage), "INVALID_ARGUMENT"],
  [new ClientError("x", failed), "FAILED"],
];

for (const [error, code] of CODES) {
  const status = error instanceof RefusedCallError ? ` ${error.code}` : "";
  Deno.test(`toJobWorkerError: ${error.name}${status} is ${code}`, () => {
    const mapped = toJobWorkerError(error);
    assert(mapped instanceof JobWorkerError);
    assert.deepEqual([mapped.code, mapped.cause, mapped.name], [code, error, "JobWorkerError"]);
    assert.equal(mapped.idempotencyKey, code === "UNKNOWN_OUTCOME" ? "k" : undefined);
  });
}

Deno.test("toJobWorkerError: leaves others' errors alone, and says options by their names", () => {
  const theirs = new TypeError("x");
  assert.equal(toJobWorkerError(theirs), theirs);
  assert.equal(toJobWorkerError("x"), "x");
  const error = toJobWorkerError(
    new ClientError("Name it with --ca FILE, or --server HOST:PORT.", 1),
  );
  assert.equal(
    (error as Error).message,
    'Name it with the option "ca", or the option "server".',
  );
});

Deno.test("CallScope: whatever ends first ends it, with its reason", async () => {
  const life = new AbortController();
  const caller = new AbortController();
  {
    using scope = new CallScope("wait", life.signal, { signal: caller.signal });
    caller.abort("caller");
    life.abort("life");
    assert.equal(scope.signal.reason, "caller");
  }
  using timed = new CallScope("wait", new AbortController().signal, { callTimeoutMs: 1 });
  await assertCode(
    () => unlessAborted(new Promise(() => {}), timed.signal),
    "DEADLINE_EXCEEDED",
    /"wait" did not end within 1 ms/,
  );
});

Deno.test("CallScope: leaves no listener and no timer behind", () => {
  const controller = new AbortController();
  let listeners = 0;
  const { signal } = controller;
  const [add, remove] = [
    signal.addEventListener.bind(signal),
    signal.removeEventListener.bind(signal),
  ];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  // The test's own sanitizer would see the timer.
  for (let call = 0; call < 3; call++) {
    new CallScope("x", signal, { callTimeoutMs: 60_000 })[Symbol.dispose]();
  }
  assert.equal(listeners, 0);
});

Deno.test("unlessAborted: a late value is released, and a late failure is ignored", async () => {
  const released: string[] = [];
  const controller = new AbortController();
  const late = Promise.withResolvers<string>();
  const waiting = unlessAborted(late.promise, controller.signal, (value) => released.push(value));
  controller.abort("enough");
  await assert.rejects(waiting, (reason) => reason === "enough");
  late.resolve("connection");
  await late.promise;
  assert.deepEqual(released, ["connection"]);
  const failing = Promise.withResolvers<string>();
  const given = unlessAborted(failing.promise, controller.signal);
  await assert.rejects(given, (reason) => reason === "enough");
  failing.reject(new Error("late"));
  assert.equal(await unlessAborted(Promise.resolve(1), new AbortController().signal), 1);
});

Deno.test("pause: an abort ends it and its timer", async () => {
  const controller = new AbortController();
  const pausing = pause(60_000, controller.signal);
  controller.abort("enough");
  await assert.rejects(pausing, (reason) => reason === "enough");
});

Deno.test("toLines: lines wherever the bytes are cut, the last one without an end, too", async () => {
  const whole = text("one\r\ntwo\n\n\u20ac\u{1f600}\nend");
  for (let size = 1; size <= whole.length; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < whole.length; at += size) chunks.push(whole.subarray(at, at + size));
    const lines = await Array.fromAsync(toLines(of(...chunks)));
    assert.deepEqual(lines, ["one", "two", "", "\u20ac\u{1f600}", "end"], `${size}`);
  }
});

Deno.test("toLines: nothing of a line is joined over a gap, nor kept for ever", async () => {
  const gap = new Gap(6, 4);
  const cut = text("\u20ac").subarray(0, 2);
  const parts = toLines(of<Uint8Array | Gap>(text("one\ntw"), cut, gap, text("o\nthree")));
  assert.deepEqual(await Array.fromAsync(parts), ["one", "tw\ufffd", gap, "o", "three"]);
  const long = await Array.fromAsync(toLines(of(text("x".repeat(2 ** 20 + 5)), text("\ny"))));
  assert.deepEqual(long.map((line) => line instanceof Gap ? -1 : line.length), [2 ** 20, 5, 1]);
  assert.deepEqual(await Array.fromAsync(toLines(of())), []);
});

Deno.test("OutputTail: keeps the newest, and counts what it does not", () => {
  const tail = new OutputTail(4);
  tail.add(text("ab"));
  tail.add(text("cde"));
  assert.deepEqual([new TextDecoder().decode(tail.bytes()), tail.droppedBytes], ["bcde", 1]);
  tail.add(new Gap(5, 10));
  assert.deepEqual([tail.bytes().length, tail.droppedBytes], [0, 15]);
  tail.add(text("0123456789"));
  assert.deepEqual([new TextDecoder().decode(tail.bytes()), tail.droppedBytes], ["6789", 21]);
  const none = new OutputTail(0);
  none.add(text("abc"));
  assert.deepEqual([none.bytes().length, none.droppedBytes], [0, 3]);
});

Deno.test("OutputQueue: asks for a pause when a reader is slow, and ends it", async () => {
  const queue = new OutputQueue({ onLost: () => {}, onResumed: () => {} });
  for (let part = 0; part < 3; part++) {
    assert.equal(queue.room(), undefined);
    queue.take(new Uint8Array(2 ** 20), part * 2 ** 20, 0);
  }
  const room = queue.room();
  assert(room !== undefined);
  assert.equal((await queue.next())?.offset, 0);
  assert.equal(queue.room(), room);
  assert.equal((await queue.next())?.offset, 2 ** 20);
  await room;
  assert.equal(queue.room(), undefined);
});

Deno.test("OutputQueue: gives what came before it says why no more comes", async () => {
  const queue = new OutputQueue({ onLost: () => {}, onResumed: () => {} });
  const first = queue.next();
  queue.skip(3, 5);
  queue.take(text("ab"), 5, 0);
  queue.finish({ error: new Error("broken") });
  queue.finish({});
  assert.deepEqual(await first, { chunk: new Gap(2, 3), offset: 2, timeMs: 0 });
  assert.equal((await queue.next())?.offset, 5);
  await assert.rejects(queue.next(), /broken/);
});

/** A job as a server sends it, with nothing but what is given. */
function answer(
  job: Parameters<typeof jobService.Query.responseSerialize>[0],
): ReturnType<typeof toJob> {
  const { responseSerialize, responseDeserialize } = jobService.Query;
  return toJob(responseDeserialize(responseSerialize(job)));
}

Deno.test("toJob: what is not known is null or absent, never a zero", () => {
  const running = answer({
    jobID: "x",
    state: "JOB_STATE_RUNNING",
    startedAtMs: 1000,
    usage: { memoryBytes: 0 },
    askedLimits: { cpuCores: 2, allowedCpus: "0-3" },
  });
  assert.deepEqual(running.askedLimits, { cpuCores: 2, allowedCpus: "0-3" });
  assert.deepEqual(
    [
      running.state,
      running.exitCode,
      running.endedAt,
      running.title,
      running.signal,
      running.timeoutMs,
    ],
    ["running", null, null, null, null, null],
  );
  assert.deepEqual([running.limits, running.usage], [{}, { memoryBytes: 0 }]);
  assert.equal(running.startedAt.getTime(), 1000);
  assert.equal(running.isolation.noNetwork, false);
  const lost = answer({ state: "JOB_STATE_LOST", exited: true, exitCode: -1, reason: "gone" });
  assert.deepEqual([lost.state, lost.exitCode, lost.reason], ["lost", null, "gone"]);
  const seed = answer({ exited: true, exitCode: 3 });
  assert.deepEqual([seed.state, seed.exitCode], ["exited", 3]);
});

Deno.test("toStartRequest: an empty input is one, and nothing given is nothing said", () => {
  const request = toStartRequest(["cat"], { idempotencyKey: "k", stdin: new Uint8Array() });
  assert.deepEqual([request.name, request.args, request.stdin?.length], ["cat", [], 0]);
  for (const name of ["umask", "gracePeriodMs", "limits", "isolation"] as const) {
    assert.equal(request[name], undefined, name);
  }
});

Deno.test("client/mod.ts: every export is documented, and names no type that is not exported", async () => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--quiet", "--lint", "client/mod.ts"],
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
});
