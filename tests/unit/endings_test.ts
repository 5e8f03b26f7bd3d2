/** How calls end: errors as statuses, interruptions, and handlers that answer once. */
import { type Metadata, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { JobError, type JobErrorKind } from "../../lib/errors.ts";
import type { CallContext } from "../../lib/grpc/call_context.ts";
import {
  interruptionOf,
  isInterrupted,
  onInterruption,
  type Shutdown,
  toStatus,
} from "../../lib/grpc/endings.ts";
import { streamHandler, type StreamingCall, unaryHandler } from "../../lib/grpc/handlers.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { ALICE, FakeCall, fakeContext } from "../support/fake_http2.ts";
import { isSettled, turn } from "../support/settled.ts";

const CODES: Record<Exclude<JobErrorKind, "internal">, status> = {
  "unauthenticated": status.UNAUTHENTICATED,
  "invalid": status.INVALID_ARGUMENT,
  "denied": status.PERMISSION_DENIED,
  "not-found": status.NOT_FOUND,
  "precondition": status.FAILED_PRECONDITION,
  "exhausted": status.RESOURCE_EXHAUSTED,
  "unavailable": status.UNAVAILABLE,
};

Deno.test("toStatus: an error for clients has its status and its message, and no log line", () => {
  using log = new CapturedLog();
  for (const [kind, code] of Object.entries(CODES)) {
    const outcome = toStatus(new JobError(kind as JobErrorKind, "what to do"));
    assert.deepEqual([outcome.code, outcome.details], [code, "what to do"]);
  }
  assert.deepEqual(log.entries, []);
});

Deno.test("toStatus: a cause is logged and not sent", () => {
  using log = new CapturedLog();
  const error = new JobError("precondition", "no", { cause: new Error("/secret/path") });
  assert.doesNotMatch(JSON.stringify(toStatus(error)), /secret/);
  assert.deepEqual(log.entries.map(({ message, cause }) => [message, cause]), [
    ["no", "/secret/path"],
  ]);
});

Deno.test("toStatus: what is not for clients is logged, and INTERNAL without a word of it", () => {
  const secret = "/secret/path";
  const errors: unknown[] = [
    new Error(secret),
    new JobError("internal", secret),
    new TypeError("x", { cause: new Error(secret) }),
    secret,
    undefined,
    null,
    { code: 5, details: secret },
  ];
  for (const error of errors) {
    using log = new CapturedLog();
    const outcome = toStatus(error);
    assert.equal(outcome.code, status.INTERNAL);
    assert.equal(outcome.details, "Internal server error; the cause is in the server's log");
    assert.doesNotMatch(JSON.stringify(outcome), /secret/);
    assert.deepEqual(log.entries.map(({ level, message }) => [level, message]), [
      ["error", "a call failed"],
    ]);
  }
});

Deno.test("toStatus: a disk that is full, or refuses, is told as such, without its paths", () => {
  const cases = [
    ["database or disk is full", status.RESOURCE_EXHAUSTED, /is full: make room/],
    ["Disk quota exceeded (os error 122): open '/x'", status.RESOURCE_EXHAUSTED, /is full/],
    ["disk I/O error", status.FAILED_PRECONDITION, /refuses to be written/],
    ["attempt to write a readonly database", status.FAILED_PRECONDITION, /refuses to be written/],
    ["Read-only file system (os error 30): mkdir '/x'", status.FAILED_PRECONDITION, /read-only/],
  ] as const;
  for (const [text, code, details] of cases) {
    using log = new CapturedLog();
    const outcome = toStatus(new Error(text));
    assert.equal(outcome.code, code, text);
    assert.match(outcome.details, details);
    assert.doesNotMatch(outcome.details, /\/x/);
    assert.deepEqual(log.messages("error"), ["a call failed"]);
  }
});

Deno.test("toStatus: a missing file is the job's output, and its path is not sent", () => {
  const { code, details } = toStatus(new Deno.errors.NotFound("/secret/path"));
  assert.equal(code, status.NOT_FOUND);
  assert.equal(details, "The job's output no longer exists on the server");
});

function controls() {
  const begun = new AbortController();
  const overdue = new AbortController();
  const shutdown: Shutdown = { begun: begun.signal, overdue: overdue.signal };
  return { begun, overdue, shutdown };
}

Deno.test("onInterruption: calls back for a shutdown and for lost access, until it is disposed of", () => {
  const [shutdown, access] = [new AbortController(), new AbortController()];
  const interruptions = { shutdown: shutdown.signal, access: access.signal };
  let calls = 0;
  const first = onInterruption(interruptions, () => calls++);
  assert(!isInterrupted(interruptions));
  access.abort(new JobError("unauthenticated", "revoked"));
  assert.equal(calls, 1);
  assert(isInterrupted(interruptions));
  first[Symbol.dispose]();
  shutdown.abort();
  assert.equal(calls, 1);
  // Where both have happened, the caller's own reason says more.
  assert.equal((interruptionOf(interruptions) as JobError).message, "revoked");
});

Deno.test("interruptionOf: a shutdown is UNAVAILABLE, which clients try again after", () => {
  const never = new AbortController().signal;
  const error = interruptionOf({ shutdown: AbortSignal.abort(), access: never });
  assert(error instanceof JobError);
  assert.equal(error.kind, "unavailable");
  assert.match(error.message, /shutting down/);
});

type Answer = { text: string };

/** Calls a handler with one answer, and keeps the answers. */
function callUnary(
  handle: (request: string, context: CallContext, metadata: Metadata) => Promise<Answer>,
  { shutdown = controls().shutdown, call = fakeContext() } = {},
) {
  const answers: [code: number | undefined, details: unknown, answer: unknown][] = [];
  const late: string[] = [];
  const context = { ...call.context, endLate: (code: string) => late.push(code) };
  const fake = new FakeCall("request", context);
  const handler = unaryHandler(handle, shutdown);
  handler(
    fake as never,
    (error, answer) => answers.push([error?.code, error?.details, answer]),
  );
  return { answers, late, fake, access: call.access };
}

Deno.test("unaryHandler: hands over the request and its context, and answers", async () => {
  const seen: unknown[] = [];
  const { answers } = callUnary((request, { caller }) => {
    seen.push(request, caller);
    return Promise.resolve({ text: "yes" });
  });
  await turn();
  assert.deepEqual(seen, ["request", ALICE]);
  assert.deepEqual(answers, [[undefined, undefined, { text: "yes" }]]);
});

Deno.test("unaryHandler: an error is a status", async () => {
  const { answers } = callUnary(() => Promise.reject(new JobError("not-found", "none")));
  await turn();
  assert.deepEqual(answers, [[status.NOT_FOUND, "none", undefined]]);
});

Deno.test("unaryHandler: what became of the work is told where its call has ended before, and only there", async () => {
  for (const [isBad, code] of [[false, "OK"], [true, "NOT_FOUND"]] as const) {
    for (const end of ["answer", "cancel", "access"]) {
      const work = Promise.withResolvers<Answer>();
      const { fake, late, access } = callUnary(() => work.promise);
      if (end === "cancel") fake.cancelled = true;
      if (end === "access") access.abort(new JobError("unauthenticated", "revoked"));
      assert.deepEqual(late, []);
      if (isBad) work.reject(new JobError("not-found", "none"));
      else work.resolve({ text: "done" });
      await turn();
      assert.deepEqual(late, end === "answer" ? [] : [code], end);
    }
  }
});

Deno.test("unaryHandler: from the beginning of a shutdown no call is begun", async () => {
  const { begun, shutdown } = controls();
  begun.abort();
  const { answers } = callUnary(() => assert.fail("it was begun"), { shutdown });
  await turn();
  assert.deepEqual(answers.map(([code]) => code), [status.UNAVAILABLE]);
});

Deno.test("unaryHandler: a caller without access any more begins no call", async () => {
  const call = fakeContext();
  call.access.abort(new JobError("unauthenticated", "revoked"));
  const { answers } = callUnary(() => assert.fail("it was begun"), { call });
  await turn();
  assert.deepEqual(answers, [[status.UNAUTHENTICATED, "revoked", undefined]]);
});

Deno.test("unaryHandler: a shutdown lets an open call end, and ends it when the time is over", async () => {
  const { begun, overdue, shutdown } = controls();
  const work = Promise.withResolvers<Answer>();
  const { answers } = callUnary(() => work.promise, { shutdown });
  begun.abort();
  await turn();
  assert.equal(answers.length, 0);
  overdue.abort();
  assert.deepEqual(answers.map(([code]) => code), [status.UNAVAILABLE]);
  work.resolve({ text: "late" });
  await turn();
  assert.equal(answers.length, 1, "it was answered twice");
});

Deno.test("unaryHandler: lost access ends an open call with its reason, once", async () => {
  const work = Promise.withResolvers<Answer>();
  const { answers, access } = callUnary(() => work.promise);
  access.abort(new JobError("unauthenticated", "revoked"));
  assert.deepEqual(answers, [[status.UNAUTHENTICATED, "revoked", undefined]]);
  work.reject(new JobError("not-found", "late"));
  await turn();
  assert.equal(answers.length, 1);
});

Deno.test("unaryHandler: after its answer a call is not interrupted", async () => {
  const { overdue, shutdown } = controls();
  const { answers, access } = callUnary(() => Promise.resolve({ text: "yes" }), { shutdown });
  await turn();
  overdue.abort();
  access.abort(new JobError("unauthenticated", "revoked"));
  assert.equal(answers.length, 1);
});

/** Calls a handler with a stream of answers. */
function callStream(
  handle: (streaming: StreamingCall<string, Answer>) => Promise<void>,
  { shutdown = new AbortController(), begun = fakeContext() } = {},
) {
  const call = new FakeCall("request", begun.context);
  const done = streamHandler(handle, shutdown.signal)(call as never) as unknown as Promise<void>;
  return { call, done, shutdown, access: begun.access };
}

/** A handler that returns when it is to end. */
function untilEnded({ ended }: { ended: AbortSignal }): Promise<void> {
  return new Promise((resolve) => ended.addEventListener("abort", () => resolve()));
}

Deno.test("streamHandler: ends the call after its last answer", async () => {
  const { call, done } = callStream(({ call, context }) => {
    assert.equal(context.caller, ALICE);
    call.write({ text: call.request });
    return Promise.resolve();
  });
  await done;
  assert.deepEqual(call.messages, [{ text: "request" }]);
  assert(call.isEnded);
  assert.deepEqual(call.errors, []);
});

Deno.test("streamHandler: an error is the call's status", async () => {
  const { call, done } = callStream(() => Promise.reject(new JobError("not-found", "none")));
  await done;
  assert(!call.isEnded);
  assert.deepEqual(call.errors.map(({ code, details }) => [code, details]), [
    [status.NOT_FOUND, "none"],
  ]);
});

for (const event of ["cancelled", "close"]) {
  Deno.test(`streamHandler: "${event}" of the call ends the sending`, async () => {
    const { call, done } = callStream(untilEnded);
    assert(!await isSettled(done));
    call.emit(event);
    await done;
    assert.deepEqual(call.errors, []);
  });
}

Deno.test("streamHandler: a shutdown ends the sending with UNAVAILABLE", async () => {
  const { call, done, shutdown } = callStream(untilEnded);
  assert(!await isSettled(done));
  shutdown.abort();
  await done;
  assert(!call.isEnded);
  assert.deepEqual(call.errors.map(({ code }) => code), [status.UNAVAILABLE]);
});

Deno.test("streamHandler: lost access ends the sending with its reason", async () => {
  const { call, done, access } = callStream(untilEnded);
  access.abort(new JobError("unauthenticated", "revoked"));
  await done;
  assert(!call.isEnded);
  assert.deepEqual(call.errors.map(({ details }) => details), ["revoked"]);
});

Deno.test("streamHandler: neither begins a call that must end", async () => {
  const begun = fakeContext();
  begun.access.abort(new JobError("unauthenticated", "revoked"));
  const shutdown = new AbortController();
  shutdown.abort();
  for (const options of [{ begun }, { shutdown }]) {
    const { call, done } = callStream(() => assert.fail("it was begun"), options);
    await done;
    assert.equal(call.errors.length, 1);
    assert.notEqual(call.errors[0]?.code, status.INTERNAL);
  }
});
