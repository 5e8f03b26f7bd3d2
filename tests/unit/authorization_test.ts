/** The interceptor over a fake call: who is let in, what is refused before it is read, what is reported. */
import { Metadata, type ServerMethodDefinition, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { CallCounter } from "../../lib/access/call_bounds.ts";
import type { AccessEvent, CallEnded } from "../../lib/access/events.ts";
import { RequestBytes } from "../../lib/access/request_bytes.ts";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import { authorizationInterceptor } from "../../lib/grpc/authorization.ts";
import { contextOf, rulesFor } from "../../lib/grpc/call_context.ts";
import type { Peer } from "../../lib/grpc/peers.ts";
import type { Caller } from "../../lib/rbac.ts";
import { ALICE, BOB, FakeCall, fakeContext, FakeIncomingCall } from "../support/fake_http2.ts";

const NO_BOUNDS = { maxOpenCalls: Infinity, maxCallRate: Infinity };

/** A call of a method on its way through the interceptor, and everything that came of it. */
function begin(
  path: string,
  { caller = ALICE, peer, calls = new CallCounter(NO_BOUNDS) }: {
    caller?: Caller;
    /** Undefined: the caller. */
    peer?: Peer | "none";
    calls?: CallCounter;
  } = {},
) {
  const access = new AbortController();
  const known = peer === "none" ? undefined : peer ?? { caller, access: access.signal };
  const reported: CallEnded[] = [];
  const changes: AccessEvent[] = [];
  const incoming = new FakeIncomingCall();
  const interceptor = authorizationInterceptor({
    peers: { identify: () => known },
    calls,
    requests: new RequestBytes(),
    report: (event) => {
      if (event.kind === "call-ended") reported.push(event);
      else changes.push(event);
    },
  });
  const definition = { path } as ServerMethodDefinition<unknown, unknown>;
  const call = interceptor(definition, incoming as never);
  /** What the handler's side sees. */
  const seen: unknown[] = [];
  call.start({
    onReceiveMetadata: () => seen.push("metadata"),
    onReceiveMessage: (message: unknown) => seen.push(message),
    onReceiveHalfClose: () => seen.push("end"),
    onCancel: () => seen.push("cancel"),
  } as never);
  const { listener } = incoming;
  assert(listener);
  const context = contextOf(incoming);
  return { access, reported, changes, incoming, call, seen, listener, context };
}

const ENDED = { code: status.OK, details: "", metadata: null };

Deno.test("authorization: a call that is let in reaches its handler, and is reported once at its end", () => {
  const { listener, seen, call, incoming, reported } = begin("/JobService/Query");
  listener.onReceiveMetadata(new Metadata());
  listener.onReceiveMessage({ jobID: "name" });
  listener.onReceiveHalfClose();
  assert.deepEqual(seen, ["metadata", { jobID: "name" }, "end"]);
  assert.equal(reported.length, 0);
  call.sendStatus(ENDED);
  listener.onCancel();
  call.sendStatus(ENDED);
  assert.equal(reported.length, 1);
  const [event] = reported;
  assert(event);
  const { durationMs, ...rest } = event;
  assert.deepEqual(rest, {
    kind: "call-ended",
    path: "/JobService/Query",
    caller: ALICE,
    peer: "192.0.2.1:4321",
    job: "name",
    details: {},
    hasChanged: false,
    code: "OK",
  });
  assert(durationMs !== undefined && durationMs >= 0);
  assert.equal(incoming.statuses[0]?.code, status.OK);
});

Deno.test("authorization: a refused call is answered before its handler sees anything of it", () => {
  const refused: [string, Parameters<typeof begin>[1], status, RegExp][] = [
    [
      "/JobService/Start",
      { caller: BOB },
      status.PERMISSION_DENIED,
      /^bob is reader and may not call Start; ask/,
    ],
    [
      "/JobService/Query",
      { caller: { ...BOB, roles: [] } },
      status.PERMISSION_DENIED,
      /^bob has no role and may not call Query/,
    ],
    ["/JobService/Fly", {}, status.PERMISSION_DENIED, /^alice is writer and may not call Fly/],
    ["/JobService/Query", { peer: "none" }, status.UNAUTHENTICATED, /a client certificate/],
    ["/grpc.health.v1.Health/Check", { peer: "none" }, status.UNAUTHENTICATED, /certificate/],
    [
      "/JobService/Query",
      {
        peer: { caller: ALICE, access: AbortSignal.abort(new JobError("unauthenticated", "old")) },
      },
      status.UNAUTHENTICATED,
      /^old$/,
    ],
    [
      "/JobService/Query",
      { calls: new CallCounter({ maxOpenCalls: 0, maxCallRate: Infinity }) },
      status.RESOURCE_EXHAUSTED,
      /--max-open-calls allows; end some/,
    ],
  ];
  for (const [path, options, code, details] of refused) {
    const { listener, seen, incoming, reported } = begin(path, options);
    listener.onReceiveMetadata(new Metadata());
    // grpc-js goes on with what the client has sent already.
    listener.onReceiveMessage({ jobID: "secret" });
    listener.onReceiveHalfClose();
    assert.deepEqual(seen, [], `${path} was passed on`);
    assert.equal(incoming.statuses.length, 1);
    assert.equal(incoming.statuses[0]?.code, code);
    assert.match(incoming.statuses[0]?.details ?? "", details);
    assert.deepEqual(reported.map(({ code, job }) => [code, job]), [[status[code], undefined]]);
  }
});

Deno.test("authorization: a caller without a role is refused before its calls are counted", () => {
  const calls = new CallCounter({ maxOpenCalls: 1, maxCallRate: 1 });
  for (let attempt = 0; attempt < 5; attempt++) {
    const { listener, incoming } = begin("/JobService/Start", { caller: BOB, calls });
    listener.onReceiveMetadata(new Metadata());
    assert.equal(incoming.statuses[0]?.code, status.PERMISSION_DENIED);
  }
});

/** Begins and lets in a call of the one that may be open. */
function open(calls: CallCounter) {
  const begun = begin("/JobService/Query", { calls });
  begun.listener.onReceiveMetadata(new Metadata());
  return begun;
}

Deno.test("authorization: an open call is counted until its status, its cancellation or its stream's end", () => {
  const ends: ((begun: ReturnType<typeof begin>) => void)[] = [
    ({ call }) => call.sendStatus(ENDED),
    ({ listener }) => listener.onCancel(),
    ({ incoming }) => void incoming.stream.emit("close"),
    // Each of these may come after another: it counts once.
    (begun) => {
      begun.call.sendStatus(ENDED);
      begun.listener.onCancel();
      begun.incoming.stream.emit("close");
    },
  ];
  for (const end of ends) {
    const calls = new CallCounter({ maxOpenCalls: 1, maxCallRate: Infinity });
    const first = open(calls);
    assert.deepEqual(first.seen, ["metadata"]);
    assert.equal(open(calls).incoming.statuses[0]?.code, status.RESOURCE_EXHAUSTED);
    end(first);
    const second = open(calls);
    assert.deepEqual(second.seen, ["metadata"]);
    assert.equal(
      open(calls).incoming.statuses[0]?.code,
      status.RESOURCE_EXHAUSTED,
      "the end of a call was counted twice",
    );
    for (const { call, incoming } of [first, second]) {
      call.sendStatus(ENDED);
      incoming.stream.emit("close");
    }
  }
});

Deno.test("authorization: every outcome is reported by its name", () => {
  for (const code of [status.OK, status.NOT_FOUND, status.INTERNAL, status.UNAVAILABLE]) {
    const { listener, call, reported } = begin("/JobService/Query");
    listener.onReceiveMetadata(new Metadata());
    call.sendStatus({ ...ENDED, code });
    assert.deepEqual(reported.map((event) => event.code), [status[code]]);
  }
  const unknown = begin("/JobService/Query");
  unknown.listener.onReceiveMetadata(new Metadata());
  unknown.call.sendStatus({ details: "" } as never);
  assert.equal(unknown.reported[0]?.code, "UNKNOWN");
  const cancelled = begin("/JobService/Query");
  cancelled.listener.onReceiveMetadata(new Metadata());
  cancelled.listener.onCancel();
  assert.equal(cancelled.reported[0]?.code, "CANCELLED");
});

Deno.test("authorization: a status that grpc-js gives by itself is the reported one", () => {
  for (const code of [status.DEADLINE_EXCEEDED, status.INTERNAL, status.RESOURCE_EXHAUSTED]) {
    const { listener, incoming, reported, seen } = begin("/JobService/Start");
    listener.onReceiveMetadata(new Metadata());
    // A deadline that is over, or a request that cannot be read: no interceptor is asked.
    incoming.sendStatus({ code });
    listener.onCancel();
    assert.deepEqual(reported.map((event) => event.code), [status[code]]);
    assert.deepEqual(seen, ["metadata", "cancel"]);
    assert.equal(incoming.statuses.length, 1);
  }
});

Deno.test("authorization: a status that reaches nobody is a cancellation, but a refusal is one", () => {
  const gone = begin("/JobService/Query");
  gone.listener.onReceiveMetadata(new Metadata());
  gone.incoming.stream.destroy();
  gone.call.sendStatus(ENDED);
  assert.equal(gone.reported[0]?.code, "CANCELLED");
  const refused = begin("/JobService/Stop", { caller: BOB });
  refused.incoming.stream.destroy();
  refused.listener.onReceiveMetadata(new Metadata());
  assert.equal(refused.reported[0]?.code, "PERMISSION_DENIED");
});

Deno.test("authorization: a change is reported when it begins, and its late end too", () => {
  const { listener, context, changes, reported } = begin("/JobService/Start");
  listener.onReceiveMetadata(new Metadata());
  context.endLate("OK");
  assert.deepEqual(changes, [], "the end of what has not begun");
  context.details = { program: "true" };
  context.beginChange("0a1b");
  const who = { path: "/JobService/Start", caller: ALICE, peer: "192.0.2.1:4321", job: "0a1b" };
  assert.deepEqual(changes, [{ kind: "change-begun", ...who, details: { program: "true" } }]);
  listener.onCancel();
  const [event] = reported;
  assert.deepEqual([event?.code, event?.job, event?.hasChanged], ["CANCELLED", "0a1b", true]);
  assert.deepEqual(event?.details, { program: "true" });
  context.endLate("OK");
  assert.deepEqual(changes.slice(1), [{ kind: "change-ended", ...who, code: "OK" }]);
});

Deno.test("authorization: the job that a handler found is reported, and without one the request's text", () => {
  const found = begin("/JobService/Query");
  found.listener.onReceiveMetadata(new Metadata());
  const request = { jobID: "nightly" };
  found.listener.onReceiveMessage(request);
  assert.equal(found.context.job, "nightly");
  found.context.job = "0a1b";
  found.call.sendStatus(ENDED);
  assert.equal(found.reported[0]?.job, "0a1b");
  assert.deepEqual(request, { jobID: "nightly" }, "the request was changed");
  for (const message of [{}, null, undefined, "jobID", { jobID: 7 }, new Uint8Array()]) {
    const { listener, call, reported } = begin("/JobService/List");
    listener.onReceiveMetadata(new Metadata());
    listener.onReceiveMessage(message);
    call.sendStatus(ENDED);
    assert.equal(reported[0]?.job, undefined);
  }
});

Deno.test("contextOf: what the interceptor saw, also when the connection is gone", () => {
  const { incoming, context } = begin("/grpc.health.v1.Health/Check", { caller: BOB });
  const call = { call: { nextCall: { stream: incoming.stream } } };
  incoming.stream.destroy();
  assert.equal(contextOf(call), context);
  assert.equal(context.caller, BOB);
  assert.equal(context.method, "Health/Check");
});

Deno.test("contextOf: a call that no interceptor has seen has no access", () => {
  const context = contextOf(new FakeCall({}, undefined));
  assert.deepEqual(context.caller, { name: "", serial: "", roles: [] });
  assert(context.access.aborted);
  assert(context.access.reason instanceof JobError);
  assert.equal(context.access.reason.kind, "unauthenticated");
});

function ruleFile(rules: readonly unknown[]) {
  const parsed = parseRules(JSON.stringify({ rules }), "root");
  return { current: () => Promise.resolve(parsed) };
}

Deno.test("rulesFor: the rule file narrows what the role allows", async () => {
  const file = ruleFile([{ role: "writer", methods: ["Query"] }]);
  await rulesFor(fakeContext(ALICE, "Query").context, file);
  await rulesFor(fakeContext(BOB, "Stream").context, file);
  for (const method of ["Start", "Stream", "Health/Check"]) {
    await assert.rejects(
      rulesFor(fakeContext(ALICE, method).context, file),
      (error) => error instanceof JobError && error.kind === "denied",
    );
  }
});

Deno.test("rulesFor: access that is lost while the rules are read is lost", async () => {
  const reading = Promise.withResolvers<ReturnType<typeof parseRules>>();
  const { context, access } = fakeContext();
  const rules = rulesFor(context, { current: () => reading.promise });
  access.abort(new JobError("unauthenticated", "revoked"));
  reading.resolve(parseRules('{"rules":[]}', "root"));
  await assert.rejects(rules, /^JobError: revoked$/);
});
