import assert from "node:assert/strict";
import type { Connection } from "../../client/connection/connection.ts";
import { ConnectionFailure } from "../../client/connection/connection_failure.ts";
import { Session, type SessionOptions } from "../../client/connection/session.ts";
import {
  ClientError,
  ConnectionLostError,
  GrpcStatus,
  RefusedCallError,
} from "../../client/errors.ts";
import { type Answer, ENDPOINT, FakeConnection } from "../support/fake_connection.ts";
import { FakeTime } from "../support/fake_time.ts";

/** A session whose connections are made as a script says: an answer, or the failure to connect. */
class World implements Disposable {
  readonly time = new FakeTime();
  readonly connections: FakeConnection[] = [];
  readonly session: Session;
  openCount = 0;

  constructor(script: readonly (Answer | Error)[], options: SessionOptions = {}) {
    const open = (): Promise<Connection> => {
      const step = script[Math.min(this.openCount, script.length - 1)];
      this.openCount += 1;
      if (step instanceof Error) return Promise.reject(step);
      const connection = new FakeConnection(step);
      this.connections.push(connection);
      return Promise.resolve(connection.asConnection);
    };
    this.session = new Session(ENDPOINT, { ...options, open });
  }

  get calls(): string[] {
    return this.connections.flatMap(({ calls }) => calls);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

const refused = new ConnectionFailure("refused", { final: false, isTemporary: true });
const unreachable = new ConnectionFailure("no answer", { final: false });
const untrusted = new ConnectionFailure("untrusted", { final: true });

/** An answer that fails. */
function failing(error: Error): Answer {
  return () => {
    throw error;
  };
}

const broken = failing(new ConnectionLostError("Lost the connection."));

/** What a promise has come to, without an unhandled rejection meanwhile. */
function outcomeOf<Value>(promise: Promise<Value>): { value?: Value; error?: unknown } {
  const outcome: { value?: Value; error?: unknown } = {};
  promise.then((value) => outcome.value = value, (error) => outcome.error = error);
  return outcome;
}

Deno.test("Session.call: repeats a call whose connection broke, over a new one", async () => {
  using world = new World([broken, () => ({ jobID: "x" })]);
  let lost = 0;
  const outcome = outcomeOf(
    world.session.call("Start", { name: "ls" }, { onLost: () => lost++ }),
  );
  await world.time.advance(250);
  assert.deepEqual(outcome, { value: { jobID: "x" } });
  assert.deepEqual([world.openCount, lost, world.connections[0]?.isClosed], [2, 1, true]);
});

for (
  const code of [
    GrpcStatus.invalidArgument,
    GrpcStatus.deadlineExceeded,
    GrpcStatus.notFound,
    GrpcStatus.permissionDenied,
    GrpcStatus.failedPrecondition,
    GrpcStatus.internal,
    GrpcStatus.unauthenticated,
  ]
) {
  Deno.test(`Session.call: gRPC status ${code} is not tried again, and the connection stays`, async () => {
    using world = new World([failing(new RefusedCallError("no", code))]);
    const outcome = outcomeOf(world.session.call("Start", { name: "ls" }));
    await world.time.advance(60_000);
    assert(outcome.error instanceof RefusedCallError);
    assert.deepEqual(world.calls, ["Start"]);
    assert.equal(world.connections[0]?.isClosed, false);
    outcomeOf(world.session.call("Query", { jobID: "x" }));
    await world.time.settle();
    assert.equal(world.openCount, 1);
  });
}

Deno.test("Session.call: gives up after ten seconds, or the given time", async () => {
  for (const [retryForMs, withinMs] of [[undefined, 10_000], [2_000, 2_000], [0, 0]] as const) {
    using world = new World([broken]);
    const outcome = outcomeOf(world.session.call("Query", { jobID: "x" }, { retryForMs }));
    // Later, the next delay, half of which is random, may be longer than what is left.
    await world.time.advance(withinMs / 4);
    assert.equal("error" in outcome, withinMs === 0, `a quarter of ${withinMs}`);
    await world.time.advance(3 * withinMs / 4);
    assert(outcome.error instanceof ConnectionLostError, `after ${withinMs}`);
    assert.equal(world.calls.length > 1, withinMs > 0);
  }
});

Deno.test("Session.call: a server that is away after a break is tried again, an untrusted one is not", async () => {
  using away = new World([broken, unreachable, () => ({ version: "1" })]);
  const outcome = outcomeOf(away.session.call("Info", {}));
  await away.time.advance(2_000);
  assert.deepEqual(outcome.value, { version: "1" });
  using other = new World([broken, untrusted, () => ({})]);
  const failed = outcomeOf(other.session.call("Info", {}));
  await other.time.advance(60_000);
  assert.equal(failed.error, untrusted);
  assert.equal(other.openCount, 2);
});

Deno.test("Session.call: a Stop or Remove that the lost try has done is a success", async () => {
  const { failedPrecondition, notFound } = GrpcStatus;
  for (const [method, code] of [["Stop", failedPrecondition], ["Remove", notFound]] as const) {
    const refusal = failing(new RefusedCallError("already done", code));
    using world = new World([broken, refusal]);
    const outcome = outcomeOf(world.session.call(method, { jobID: "x" }));
    await world.time.advance(1_000);
    assert.deepEqual(outcome, { value: {} }, method);
    using first = new World([refusal]);
    const failed = outcomeOf(first.session.call(method, { jobID: "x" }));
    await first.time.advance(1_000);
    assert(failed.error instanceof RefusedCallError, `the first ${method}`);
  }
});

Deno.test("Session.call: other refusals of a repeated call stay refusals", async () => {
  const { failedPrecondition, notFound } = GrpcStatus;
  for (
    const [method, code] of [
      ["Stop", notFound],
      ["Remove", failedPrecondition],
      ["Query", notFound],
    ] as const
  ) {
    using world = new World([broken, failing(new RefusedCallError("no", code))]);
    const outcome = outcomeOf(world.session.call(method, { jobID: "x" }));
    await world.time.advance(1_000);
    assert(outcome.error instanceof RefusedCallError, method);
  }
});

Deno.test("Session.connect: a refused first connection is tried again for six seconds, and told once", async () => {
  const told: string[] = [];
  using world = new World([refused], { onUnreachable: (server) => told.push(server) });
  const outcome = outcomeOf(world.session.connect());
  await world.time.advance(5_000);
  assert.deepEqual([outcome, told], [{}, ["localhost:1"]]);
  assert(world.openCount >= 10, `${world.openCount} tries in 5 seconds`);
  await world.time.advance(1_000);
  assert.equal(outcome.error, refused);
});

Deno.test("Session.connect: a server that comes back is found", async () => {
  using world = new World([refused, refused, () => ({})]);
  const outcome = outcomeOf(world.session.connect());
  await world.time.advance(1_000);
  assert.equal(outcome.value, world.connections[0]);
});

for (
  const [what, error, options] of [
    ["that nothing answers", unreachable, {}],
    ["that cannot be trusted", untrusted, {}],
    ["that is refused, without retries", refused, { retriesFirst: false }],
  ] as const
) {
  Deno.test(`Session.connect: a first connection ${what} fails at once`, async () => {
    using world = new World([error], options);
    const outcome = outcomeOf(world.session.connect());
    await world.time.settle();
    assert.equal(outcome.error, error);
    assert.equal(world.openCount, 1);
  });
}

Deno.test("Session.isRetryable: nothing but a lost connection, before there was one", async () => {
  using world = new World([() => ({})]);
  const { session } = world;
  const verdicts = () =>
    [new ConnectionLostError("x"), unreachable, refused, untrusted].map((error) =>
      session.isRetryable(error)
    );
  assert.deepEqual(verdicts(), [true, false, false, false]);
  await session.connect();
  assert.deepEqual(verdicts(), [true, true, true, false]);
  for (const error of [new RefusedCallError("x", 14), new ClientError("x", 3), new Error("x")]) {
    assert.equal(session.isRetryable(error), false);
  }
});

/** Answers a Wait never, unless it is cancelled, and a probe as given. */
function waiting(probe: Answer): Answer {
  return (method, request, options) => {
    if (method === "Query") return probe(method, request, options);
    return new Promise((_, reject) => {
      options.signal?.addEventListener(
        "abort",
        () => reject(new ConnectionLostError("cancelled")),
      );
    });
  };
}

const unanswered = failing(new RefusedCallError("late", GrpcStatus.deadlineExceeded));

Deno.test("Session.call: a probe without an answer ends the connection of a waiting call", async () => {
  using world = new World([waiting(unanswered), () => ({ exitCode: 4 })]);
  const outcome = outcomeOf(world.session.call("Wait", { jobID: "x" }, { probedJobID: "x" }));
  await world.time.advance(14_999);
  assert.deepEqual(world.calls, ["Wait"]);
  await world.time.advance(1_000);
  assert.deepEqual(world.calls, ["Wait", "Query", "Wait"]);
  assert.deepEqual(outcome.value, { exitCode: 4 });
  assert.equal(world.time.pendingCount, 0, "timers are left");
});

for (
  const [what, probe] of [
    ["an answer", () => ({})],
    ["a refusal", failing(new RefusedCallError("no", GrpcStatus.notFound))],
    ["a broken connection", broken],
  ] as const
) {
  Deno.test(`Session.call: ${what} to a probe leaves the waiting call alone`, async () => {
    using world = new World([waiting(probe)]);
    const outcome = outcomeOf(world.session.call("Wait", { jobID: "x" }, { probedJobID: "x" }));
    await world.time.advance(46_000);
    assert.deepEqual(world.calls, ["Wait", "Query", "Query", "Query"]);
    assert.deepEqual(outcome, {});
  });
}

Deno.test("Session.call: an aborted call throws the signal's reason, and leaves the connection", async () => {
  const never: Answer = (_method, _request, { signal }) =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("cut"))));
  using world = new World([never]);
  const abort = new AbortController();
  const outcome = outcomeOf(
    world.session.call("Info", {}, { signal: abort.signal }),
  );
  await world.time.settle();
  abort.abort(new Error("enough"));
  await world.time.settle();
  assert.match(String(outcome.error), /enough/);
  assert.equal(world.connections[0]?.isClosed, false);
  const before = outcomeOf(world.session.call("Info", {}, { signal: abort.signal }));
  await world.time.settle();
  assert.match(String(before.error), /enough/);
  assert.deepEqual(world.calls, ["Info"]);
});

Deno.test("Session: closing it closes the connection", async () => {
  using world = new World([() => ({})]);
  await world.session.ready();
  await world.session.ready();
  world.session[Symbol.dispose]();
  await world.time.settle();
  assert.deepEqual(world.connections.map(({ isClosed }) => isClosed), [true]);
});
