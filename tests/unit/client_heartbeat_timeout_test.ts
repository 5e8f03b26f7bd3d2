import assert from "node:assert/strict";
import { HeartbeatTimeout } from "../../client/connection/heartbeat_timeout.ts";
import { FakeTime } from "../support/fake_time.ts";

Deno.test("HeartbeatTimeout: three missed heartbeats end the stream, and no fewer", async () => {
  using time = new FakeTime();
  using timeout = new HeartbeatTimeout(10);
  assert.equal(timeout.timeoutSeconds, 30);
  await time.advance(29_999);
  assert.equal(timeout.signal.aborted, false);
  await time.advance(1);
  assert.equal(timeout.signal.aborted, true);
});

Deno.test("HeartbeatTimeout: each message restarts the time, and is passed on", async () => {
  using time = new FakeTime();
  using timeout = new HeartbeatTimeout(1);
  const messages: string[] = [];
  const listener = timeout.restartedBy((message: string) => messages.push(message));
  for (const message of ["a", "b", "c"]) {
    await time.advance(2_000);
    listener(message);
  }
  assert.equal(timeout.signal.aborted, false);
  assert.deepEqual(messages, ["a", "b", "c"]);
  await time.advance(3_000);
  assert.equal(timeout.signal.aborted, true);
});

Deno.test("HeartbeatTimeout: stands still while the sink accepts nothing, and starts anew then", async () => {
  using time = new FakeTime();
  using timeout = new HeartbeatTimeout(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  await time.advance(2_000);
  const waiting = timeout.suspendedFor(promise);
  await time.advance(60_000);
  assert.equal(timeout.signal.aborted, false);
  resolve();
  await waiting;
  await time.advance(2_000);
  assert.equal(timeout.signal.aborted, false, "the seconds before it were counted");
  await time.advance(1_000);
  assert.equal(timeout.signal.aborted, true);
});

Deno.test("HeartbeatTimeout: a failed wait ends the suspension, too", async () => {
  using time = new FakeTime();
  using timeout = new HeartbeatTimeout(1);
  await assert.rejects(timeout.suspendedFor(Promise.reject(new Error("no"))), /no/);
  await time.advance(3_000);
  assert.equal(timeout.signal.aborted, true);
});

Deno.test("HeartbeatTimeout: the outer signal ends it, even one that was aborted before", async () => {
  using _time = new FakeTime();
  const outer = new AbortController();
  using before = new HeartbeatTimeout(1, outer.signal);
  assert.equal(before.signal.aborted, false);
  outer.abort();
  assert.equal(before.signal.aborted, true);
  using after = new HeartbeatTimeout(1, outer.signal);
  assert.equal(after.signal.aborted, true);
  await Promise.resolve();
});

Deno.test("HeartbeatTimeout: leaves no timer behind", () => {
  using time = new FakeTime();
  {
    using _timeout = new HeartbeatTimeout(1);
    assert.equal(time.pendingCount, 1);
  }
  assert.equal(time.pendingCount, 0);
});
