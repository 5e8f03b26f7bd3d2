/** Events that repeat: which have lines, and what is told of the others. */
import { strict as assert } from "node:assert";
import type { AccessEvent, CallEnded, ChangeBegun } from "../../lib/access/events.ts";
import { type CountedEvents, RepeatedEvents } from "../../lib/access/repeated_events.ts";
import { ALICE } from "../support/fake_http2.ts";
import { FakeTime } from "../support/fake_time.ts";

/** Lines of events that are alike, at once. */
const MAX_LINES = 10;

/** One more line is there after this time, and it is told how many were counted. */
const MINUTE_MS = 60_000;

const MAX_ADDRESSES = 100;
const MAX_KEYS = 10_000;

const DENIED: CallEnded = {
  kind: "call-ended",
  path: "/JobService/Query",
  caller: ALICE,
  peer: "192.0.2.1:4321",
  job: undefined,
  details: {},
  hasChanged: false,
  code: "PERMISSION_DENIED",
  durationMs: 1,
};

const SIGNAL: ChangeBegun = {
  kind: "change-begun",
  path: "/JobService/Signal",
  caller: ALICE,
  peer: "192.0.2.1:4321",
  job: "one",
  details: { signal: "HUP" },
};

/** Events with what was told of them, and a clock. */
class Place implements Disposable {
  readonly time = new FakeTime();
  readonly told: CountedEvents[] = [];
  readonly repeated = new RepeatedEvents((counted) => this.told.push(counted));

  /** How many of many equal events have lines. */
  linesOf(count: number, event: AccessEvent): number {
    let lines = 0;
    for (let number = 0; number < count; number++) {
      if (this.repeated.hasLine({ ...event })) lines++;
    }
    return lines;
  }

  /** How many were counted, as it was told. */
  counts(): unknown[] {
    return this.told.map(({ entry }) => entry.fields["events"]);
  }

  [Symbol.dispose](): void {
    this.repeated.flush();
    this.time[Symbol.dispose]();
  }
}

Deno.test("RepeatedEvents: the first refusals have lines, and the others are told once, as a number", async () => {
  using place = new Place();
  assert.equal(place.linesOf(5000, DENIED), MAX_LINES);
  assert.deepEqual(place.told, []);
  await place.time.advance(MINUTE_MS);
  assert.deepEqual(place.told.map(({ entry }) => entry), [{
    event: "events like this one were counted",
    fields: {
      events: 5000 - MAX_LINES,
      last: "call",
      method: "/JobService/Query",
      who: "alice",
      serial: "A1",
      roles: "writer",
      peer: "192.0.2.1:4321",
      job: undefined,
      code: "PERMISSION_DENIED",
      ms: 1,
    },
  }]);
  await place.time.advance(MINUTE_MS);
  assert.equal(place.told.length, 1, "it was told twice");
});

Deno.test("RepeatedEvents: a flood that goes on has one line a minute, and after a pause all again", async () => {
  using place = new Place();
  place.linesOf(100, DENIED);
  await place.time.advance(MINUTE_MS);
  assert.equal(place.linesOf(100, DENIED), 1);
  await place.time.advance(MINUTE_MS);
  assert.deepEqual(place.counts(), [90, 99]);
  await place.time.advance(MAX_LINES * MINUTE_MS);
  assert.equal(place.linesOf(100, DENIED), MAX_LINES);
});

Deno.test("RepeatedEvents: no timer is left when nothing is known any more", async () => {
  using place = new Place();
  place.linesOf(100, DENIED);
  await place.time.advance(2 * MAX_LINES * MINUTE_MS);
  assert.equal(place.time.pendingCount, 0);
});

Deno.test("RepeatedEvents: calls that were let in and change nothing always have lines", () => {
  using place = new Place();
  for (const code of ["OK", "NOT_FOUND", "CANCELLED", "INTERNAL", "INVALID_ARGUMENT"]) {
    assert.equal(place.linesOf(50, { ...DENIED, code }), 50, code);
  }
});

Deno.test("RepeatedEvents: every start has its lines", () => {
  using place = new Place();
  const path = "/JobService/Start";
  assert.equal(place.linesOf(50, { ...SIGNAL, path }), 50);
  for (const code of ["OK", "CANCELLED", "FAILED_PRECONDITION"]) {
    assert.equal(place.linesOf(50, { ...DENIED, path, code, hasChanged: true }), 50, code);
    assert.equal(place.linesOf(50, { ...SIGNAL, kind: "change-ended", path, code }), 50, code);
  }
  // An answer by an earlier start is none.
  assert.equal(place.linesOf(50, { ...DENIED, path, code: "OK", job: "one" }), MAX_LINES);
});

Deno.test("RepeatedEvents: changes that were tried in vain, and methods that do not exist, count together", () => {
  using place = new Place();
  const tried = [["/JobService/Stop", "NOT_FOUND"], ["/Fly", "UNIMPLEMENTED"]] as const;
  for (const [path, code] of tried) {
    let lines = 0;
    for (let count = 0; count < 100; count++) {
      const job = `job ${count}`;
      const event = { ...DENIED, path, code, job };
      lines += place.linesOf(1, path === "/Fly" ? { ...event, path: `/Fly${count}` } : event);
    }
    assert.equal(lines, MAX_LINES, path);
  }
});

Deno.test("RepeatedEvents: neither reads, nor another status, nor another caller hide a refused change", () => {
  using place = new Place();
  place.linesOf(1000, DENIED);
  place.linesOf(1000, { ...DENIED, code: "RESOURCE_EXHAUSTED" });
  const stop = { ...DENIED, path: "/JobService/Stop" };
  assert.equal(place.linesOf(1000, stop), MAX_LINES);
  assert.equal(place.linesOf(1, { ...stop, caller: { ...ALICE, serial: "B2" } }), 1);
  assert.equal(place.linesOf(1, { ...stop, caller: { ...ALICE, name: "bob" } }), 1);
});

Deno.test("RepeatedEvents: the same change of the same job is counted, and hides no other", () => {
  using place = new Place();
  assert.equal(place.linesOf(1000, SIGNAL), MAX_LINES);
  const { path } = SIGNAL;
  const ended = { ...DENIED, path, job: "one", code: "OK", hasChanged: true };
  assert.equal(place.linesOf(1000, ended), MAX_LINES);
  for (
    const other of [
      { ...SIGNAL, details: { signal: "KILL" } },
      { ...SIGNAL, job: "two" },
      { ...SIGNAL, path: "/JobService/Stop", details: {} },
      { ...SIGNAL, caller: { ...ALICE, name: "bob" } },
      { ...ended, job: "two" },
      { ...ended, code: "INTERNAL" },
    ]
  ) assert.equal(place.linesOf(1, other), 1, JSON.stringify(other));
});

Deno.test("RepeatedEvents: however many changes there are, none that was begun is hidden", () => {
  using place = new Place();
  for (let job = 0; job < MAX_KEYS; job++) place.linesOf(1, { ...SIGNAL, job: `${job}` });
  assert.equal(place.linesOf(50, { ...SIGNAL, job: "another" }), 50);
  assert.equal(place.linesOf(50, DENIED), MAX_LINES, "refusals are counted together then");
});

Deno.test("RepeatedEvents: refused handshakes are told by address, and those of too many addresses together", () => {
  using place = new Place();
  const refused = { kind: "handshake-refused", peer: "", reason: "expired" } as const;
  const from = (peer: string) => place.linesOf(100, { ...refused, peer });
  assert.equal(from("192.0.2.1:1"), MAX_LINES);
  assert.equal(from("192.0.2.1:2"), 0, "a port makes another stranger of it");
  assert.equal(from("192.0.2.2:1"), MAX_LINES);
  assert.equal(from("2001:db8::1:1"), MAX_LINES);
  assert.equal(from("2001:db8:0:0:ffff:1:2:3:1"), 0, "one host has many addresses of IPv6");
  assert.equal(from("2001:db8:0:1::1:1"), MAX_LINES);
  assert.equal(from("::ffff:192.0.2.9:1"), MAX_LINES);
  assert.equal(from("::ffff:192.0.2.8:1"), MAX_LINES);
  let lines = 0;
  for (let host = 0; host < 1000; host++) {
    lines += place.linesOf(1, { ...refused, peer: `10.0.${host >> 8}.${host & 255}:1` });
  }
  assert.equal(lines, MAX_ADDRESSES - 6 + MAX_LINES);
  // However many strangers there are, callers are told apart.
  assert.equal(place.linesOf(50, DENIED), MAX_LINES);
});

Deno.test("RepeatedEvents: addresses that have not come back make room for others", async () => {
  using place = new Place();
  const from = (host: number) =>
    place.linesOf(1, {
      kind: "reset-storm",
      holder: ALICE,
      peer: `10.0.${host >> 8}.${host & 255}:1`,
    });
  for (let host = 0; host < 1000; host++) from(host);
  await place.time.advance(2 * MAX_LINES * MINUTE_MS);
  let lines = 0;
  for (let host = 0; host < 1000; host++) lines += from(host);
  assert.equal(lines, MAX_ADDRESSES + MAX_LINES);
});
