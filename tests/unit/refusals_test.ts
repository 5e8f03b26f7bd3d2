/** What is reported of connections and calls that no interceptor sees, and streams that fail. */
import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import type { AccessEvent } from "../../lib/access/events.ts";
import {
  RefusedConnections,
  reportTakenBack,
  reportUnknownMethods,
} from "../../lib/grpc/refusals.ts";
import { containStreams } from "../../lib/grpc/streams.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { BOB, FakeSession, FakeStream } from "../support/fake_http2.ts";

const ADDRESS = { remoteAddress: "192.0.2.1", remotePort: 4321 };

function place() {
  const events: AccessEvent[] = [];
  const refused = new RefusedConnections((event) => events.push(event));
  return { events, refused };
}

Deno.test("RefusedConnections: every handshake is reported, with its address and its reason", () => {
  const { events, refused } = place();
  refused.addHandshake("too late", ADDRESS);
  refused.addHandshake("last", {});
  const kind = "handshake-refused";
  assert.deepEqual(events, [
    { kind, peer: "192.0.2.1:4321", reason: "too late" },
    { kind, peer: "unknown:", reason: "last" },
  ]);
});

Deno.test("RefusedConnections: every storm of resets is reported, with whose it is", () => {
  const { events, refused } = place();
  const raw = new Uint8Array();
  const certificate = { raw, subject: { CN: "bob" }, serialNumber: "B2" };
  const getPeerCertificate = () => certificate as never;
  refused.addStorm({ ...ADDRESS, authorized: true, getPeerCertificate });
  refused.addStorm({ ...ADDRESS, authorized: false, getPeerCertificate });
  const storm = { kind: "reset-storm", peer: "192.0.2.1:4321" };
  assert.deepEqual(events, [
    { ...storm, holder: { name: "bob", serial: "B2" } },
    { ...storm, holder: { name: "", serial: "" } },
  ]);
});

Deno.test("RefusedConnections: a TLS error has the address of the socket below", () => {
  const { events, refused } = place();
  const server = new EventEmitter();
  refused.watch(server as never);
  server.emit("tlsClientError", new Error("bad certificate"), { _parent: ADDRESS });
  server.emit("tlsClientError", new Error("no parent"), ADDRESS);
  assert.deepEqual(
    events.map((event) => [event.peer, event.kind === "handshake-refused" && event.reason]),
    [["192.0.2.1:4321", "bad certificate"], ["192.0.2.1:4321", "no parent"]],
  );
});

const GRPC = "application/grpc+proto";

/** Requests of streams, and what is reported of them. */
async function request(
  path: string | undefined,
  { caller, type = GRPC }: { caller?: typeof BOB; type?: string | undefined } = {},
): Promise<AccessEvent[]> {
  const events: AccessEvent[] = [];
  const server = new EventEmitter();
  const access = new AbortController().signal;
  reportUnknownMethods(server as never, {
    peers: { identify: () => caller && { caller, access } },
    report: (event) => events.push(event),
  });
  const headers = { ":path": path, "content-type": type };
  server.emit("stream", new FakeStream(new FakeSession(ADDRESS)), headers);
  await Promise.resolve();
  return events;
}

/** The event without its duration, which differs. */
function withoutDuration(event: AccessEvent | undefined): Partial<AccessEvent> {
  assert(event?.kind === "call-ended");
  const { durationMs, ...rest } = event;
  assert(durationMs >= 0 && durationMs < 1000, `${durationMs}`);
  return rest;
}

/** What is reported of a call that did nothing. */
function callOfBob(path: string, code: string): Partial<AccessEvent> {
  return {
    kind: "call-ended",
    path,
    caller: BOB,
    peer: "192.0.2.1:4321",
    job: undefined,
    details: {},
    hasChanged: false,
    code,
  };
}

Deno.test("reportUnknownMethods: a method that does not exist is reported with its caller", async () => {
  for (const path of ["/JobService/Fly", "/", "/x/y/z", '/","code":"OK']) {
    const [event, ...others] = await request(path, { caller: BOB });
    assert.deepEqual(withoutDuration(event), callOfBob(path, "UNIMPLEMENTED"));
    assert.deepEqual(others, []);
  }
  const [event] = await request(undefined);
  assert(event?.kind === "call-ended");
  assert.deepEqual([event.path, event.caller.name], ["", ""]);
});

Deno.test("reportUnknownMethods: a request that is not gRPC is reported, whatever its method", async () => {
  for (const path of ["/JobService/Start", "/grpc.health.v1.Health/Check", "/", "/x"]) {
    for (const type of ["application/json", "text/plain", "", "xapplication/grpc"]) {
      const [event, ...others] = await request(path, { caller: BOB, type });
      assert(event?.kind === "call-ended");
      assert.deepEqual([event.path, event.caller, event.code], [path, BOB, "HTTP 415"], type);
      assert.deepEqual(others, []);
    }
  }
});

Deno.test("reportUnknownMethods: methods that exist are left to the interceptor", async () => {
  assert.deepEqual(await request("/JobService/Start", { caller: BOB }), []);
  assert.deepEqual(await request("/grpc.health.v1.Health/Check", { type: "application/grpc" }), []);
});

Deno.test("reportTakenBack: a call that has been reset by its client is reported by its session", async () => {
  const events: AccessEvent[] = [];
  const server = new EventEmitter();
  const session = new FakeSession(ADDRESS);
  const access = new AbortController().signal;
  reportTakenBack(server as never, {
    peers: {
      identify: (asked) => asked === session as never ? { caller: BOB, access } : undefined,
    },
    report: (event) => events.push(event),
  });
  const [good, reset] = [new FakeStream(session), new FakeStream()];
  reset.destroyed = true;
  // What the server does by itself, which ends a stream at once.
  session.on("stream", (stream: FakeStream) => stream.destroyed = true);
  server.emit("session", session);
  session.emit("stream", good, { ":path": "/JobService/Start" });
  session.emit("stream", reset, { ":path": "/JobService/List" });
  session.emit("stream", reset, {});
  await Promise.resolve();
  const expected = ["/JobService/List", ""].map((path) => callOfBob(path, "CANCELLED"));
  assert.deepEqual(events.map(withoutDuration), expected);
});

Deno.test("containStreams: an error of one handler or stream closes only its stream", () => {
  using log = new CapturedLog();
  const server = new EventEmitter();
  const handled: unknown[] = [];
  server.on("stream", (stream, headers) => {
    handled.push(headers);
    if (headers === "bad") throw new Error("ERR_HTTP2_INVALID_STREAM");
    assert(stream instanceof FakeStream);
  });
  containStreams(server as never);
  const [good, bad, reset] = [new FakeStream(), new FakeStream(), new FakeStream()];
  reset.destroyed = true;
  server.emit("stream", bad, "bad");
  server.emit("stream", good, "good");
  server.emit("stream", reset, "reset");
  assert.deepEqual(handled, ["bad", "good"]);
  assert.deepEqual([bad.destroyed, good.destroyed], [true, false]);
  // Without a listener this would throw, as it would end the server.
  for (const stream of [good, bad, reset]) stream.emit("error", new Error("unknown code"));
  assert.deepEqual(log.messages(), ["a stream failed and is closed"]);
});
