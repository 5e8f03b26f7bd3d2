/** What is reported of connections and calls that no interceptor sees, and streams that fail. */
import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import type { AccessEvent } from "../../lib/access/events.ts";
import { RefusedConnections, reportUnknownMethods } from "../../lib/grpc/refusals.ts";
import { containStreams } from "../../lib/grpc/streams.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { BOB, FakeSession, FakeStream } from "../support/fake_http2.ts";

const ADDRESS = { remoteAddress: "192.0.2.1", remotePort: 4321 };

/** Refused connections on a clock that the test moves. */
function place() {
  const events: AccessEvent[] = [];
  const clock = { nowMs: 5 };
  const refused = new RefusedConnections((event) => events.push(event), () => clock.nowMs);
  return { events, clock, refused };
}

Deno.test("RefusedConnections: at most one handshake a second is reported, with the number of the others", () => {
  const { events, clock, refused } = place();
  for (let count = 0; count < 10; count++) refused.addHandshake(`reason ${count}`, ADDRESS);
  clock.nowMs += 999;
  refused.addHandshake("still too early", ADDRESS);
  clock.nowMs += 1;
  refused.addHandshake("late", ADDRESS);
  clock.nowMs += 5000;
  refused.addHandshake("last", {});
  const handshake = { kind: "handshake-refused", peer: "192.0.2.1:4321" };
  assert.deepEqual(events, [
    { ...handshake, reason: "reason 0", unreportedBefore: 0 },
    { ...handshake, reason: "late", unreportedBefore: 10 },
    { ...handshake, peer: "unknown:", reason: "last", unreportedBefore: 0 },
  ]);
});

Deno.test("RefusedConnections: every storm of resets is reported", () => {
  const { events, refused } = place();
  refused.addStorm(ADDRESS);
  refused.addStorm(ADDRESS);
  assert.deepEqual(events, Array(2).fill({ kind: "reset-storm", peer: "192.0.2.1:4321" }));
});

Deno.test("RefusedConnections: a TLS error has the address of the socket below", () => {
  const { events, clock, refused } = place();
  const server = new EventEmitter();
  refused.watch(server as never);
  server.emit("tlsClientError", new Error("bad certificate"), { _parent: ADDRESS });
  clock.nowMs += 1000;
  server.emit("tlsClientError", new Error("no parent"), ADDRESS);
  assert.deepEqual(
    events.map((event) => [event.peer, event.kind === "handshake-refused" && event.reason]),
    [["192.0.2.1:4321", "bad certificate"], ["192.0.2.1:4321", "no parent"]],
  );
});

/** Requests of streams, and what is reported of them. */
function request(path: string | undefined, caller?: typeof BOB): AccessEvent[] {
  const events: AccessEvent[] = [];
  const server = new EventEmitter();
  const access = new AbortController().signal;
  reportUnknownMethods(server as never, {
    peers: { identify: () => caller && { caller, access } },
    report: (event) => events.push(event),
  });
  server.emit("stream", new FakeStream(new FakeSession(ADDRESS)), { ":path": path });
  return events;
}

Deno.test("reportUnknownMethods: a method that does not exist is reported with its caller", () => {
  for (const path of ["/JobService/Fly", "/", "/x/y/z", '/","code":"OK']) {
    assert.deepEqual(request(path, BOB), [{
      kind: "call-ended",
      path,
      caller: BOB,
      peer: "192.0.2.1:4321",
      job: undefined,
      code: "UNIMPLEMENTED",
      durationMs: undefined,
    }]);
  }
  const [event] = request(undefined);
  assert(event?.kind === "call-ended");
  assert.deepEqual([event.path, event.caller.name], ["", ""]);
});

Deno.test("reportUnknownMethods: methods that exist are left to the interceptor", () => {
  assert.deepEqual(request("/JobService/Start", BOB), []);
  assert.deepEqual(request("/grpc.health.v1.Health/Check"), []);
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
