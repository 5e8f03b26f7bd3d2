import { strict as assert } from "node:assert";
import { CallCounter } from "../../lib/access/call_bounds.ts";

Deno.test("CallCounter: open calls of a user, and of that user alone", () => {
  const counter = new CallCounter({ maxOpenCalls: 2, maxCallRate: Infinity });
  assert.equal(counter.begin("alice", 0), undefined);
  assert.equal(counter.begin("alice", 0), undefined);
  assert.match(counter.begin("alice", 0) ?? "", /alice has 2 calls open, .* --max-open-calls/);
  assert.equal(counter.begin("bob", 0), undefined);
  counter.end("alice");
  assert.equal(counter.begin("alice", 0), undefined);
  assert.match(counter.begin("alice", 1e9) ?? "", /--max-open-calls/);
});

Deno.test("CallCounter: a second's calls at once, and then no more than the rate", () => {
  const counter = new CallCounter({ maxOpenCalls: Infinity, maxCallRate: 10 });
  const begun = (nowMs: number, tries: number) =>
    Array.from({ length: tries }, () => counter.begin("alice", nowMs))
      .filter((refusal) => refusal === undefined).length;
  assert.equal(begun(1000, 50), 10);
  assert.match(
    counter.begin("alice", 1000) ?? "",
    /more calls a second than 10, .* --max-call-rate/,
  );
  assert.equal(begun(1250, 50), 2);
  assert.equal(begun(1299, 50), 0);
  assert.equal(begun(1300, 50), 1);
  // An idle user collects the calls of one second, and no more.
  assert.equal(begun(1_000_000, 50), 10);
  assert.equal(counter.begin("bob", 1_000_000), undefined);
});

Deno.test("CallCounter: a refused call counts neither as open nor against the rate", () => {
  const counter = new CallCounter({ maxOpenCalls: 1, maxCallRate: 2 });
  assert.equal(counter.begin("alice", 0), undefined);
  for (let tries = 0; tries < 100; tries++) assert.match(counter.begin("alice", 0) ?? "", /open/);
  counter.end("alice");
  assert.equal(counter.begin("alice", 0), undefined);
});

Deno.test("CallCounter: idle users are forgotten, users with open calls are not", () => {
  const counter = new CallCounter({ maxOpenCalls: 1, maxCallRate: 1 });
  assert.equal(counter.begin("alice", 0), undefined);
  for (let user = 0; user < 5000; user++) {
    assert.equal(counter.begin(`user ${user}`, user * 10), undefined);
    counter.end(`user ${user}`);
  }
  assert.match(counter.begin("alice", 1e9) ?? "", /alice has 1 calls open/);
});
