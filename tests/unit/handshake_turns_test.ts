/** Turns of handshakes, over a clock that the test moves. */
import { strict as assert } from "node:assert";
import { HandshakeTurns, networkOf } from "../../lib/grpc/handshake_turns.ts";
import { FakeTime } from "../support/fake_time.ts";

const ONE = "192.0.2.1";
const OTHER = "192.0.2.2";

/** Turns, and the addresses of the handshakes that have begun, in their order. */
function place() {
  const turns = new HandshakeTurns();
  const begun: string[] = [];
  let count = 0;
  return {
    turns,
    begun,
    /** Asks with a first message of its own. */
    ask: (address: string, isGone = () => false) =>
      turns.ask(address, `random ${count++}`, { begin: () => begun.push(address), isGone }),
  };
}

Deno.test("HandshakeTurns: an idle server begins a handshake at once, and more five milliseconds apart", async () => {
  using time = new FakeTime();
  const { turns, begun, ask } = place();
  for (let count = 0; count < 3; count++) assert.equal(ask(ONE), undefined);
  assert.equal(begun.length, 1);
  await time.advance(5);
  assert.equal(begun.length, 2);
  await time.advance(5);
  assert.equal(begun.length, 3);
  await time.advance(5);
  assert.equal(time.pendingCount, 0);
  turns[Symbol.dispose]();
});

Deno.test("HandshakeTurns: a first message that was sent before is refused", () => {
  using _time = new FakeTime();
  const { turns } = place();
  const waiting = { begin: () => {}, isGone: () => false };
  assert.equal(turns.ask(ONE, "same", waiting), undefined);
  assert.match(turns.ask(OTHER, "same", waiting) ?? "", /has been sent before/);
  assert.equal(turns.ask(ONE, undefined, waiting), undefined);
  assert.equal(turns.ask(ONE, undefined, waiting), undefined);
  turns[Symbol.dispose]();
});

Deno.test("HandshakeTurns: an address has fifty unfinished at once and 25 a second; completed ones are free", async () => {
  using time = new FakeTime();
  const { turns, begun, ask } = place();
  const flood = async (seconds: number) => {
    for (let step = 0; step < seconds * 100; step++) {
      ask(ONE);
      await time.advance(10);
    }
  };
  await flood(4);
  assert(begun.length >= 140 && begun.length <= 151, `${begun.length} have begun in 4 s`);
  ask(OTHER);
  await time.advance(50);
  assert(begun.includes(OTHER), "another address waits for the flood");
  const before = begun.length;
  for (let count = 0; count < 50; count++) turns.complete(ONE);
  await time.advance(500);
  assert(begun.length - before >= 50, "completed handshakes are still counted");
  turns[Symbol.dispose]();
});

Deno.test("HandshakeTurns: addresses have turns one after the other, known ones three of four", async () => {
  using time = new FakeTime();
  const { turns, begun, ask } = place();
  turns.complete("known");
  ask("first");
  for (const address of ["a", "a", "b", "known", "known", "known", "known", "known"]) ask(address);
  await time.advance(100);
  assert.deepEqual(
    begun.slice(1),
    ["known", "known", "known", "a", "known", "known", "b", "a"],
  );
  turns[Symbol.dispose]();
});

Deno.test("HandshakeTurns: a line is bounded, and who has gone is not in it and has no turn", async () => {
  using time = new FakeTime();
  const { turns, begun, ask } = place();
  ask(ONE);
  let isGone = false;
  for (let count = 0; count < 100; count++) ask(ONE, () => isGone);
  assert.match(ask(ONE) ?? "", /^100 handshakes of this address wait/);
  isGone = true;
  assert.equal(ask(ONE), undefined);
  await time.advance(1000);
  assert.equal(begun.length, 2);
  turns[Symbol.dispose]();
});

Deno.test("HandshakeTurns: what a busy server has to do comes first, for a tenth of a second", async () => {
  using time = new FakeTime();
  const { turns, begun, ask } = place();
  ask(ONE);
  ask(OTHER);
  const now = performance.now;
  // The timer fires 20 ms late.
  performance.now = () => now() + 20;
  await time.advance(5);
  assert.equal(begun.length, 1);
  performance.now = now;
  await time.advance(120);
  assert.equal(begun.length, 2);
  turns[Symbol.dispose]();
});

Deno.test("networkOf: an address of IPv4, and the first half of one of IPv6", () => {
  const networks = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8::6", "2001:db8:0:0"],
    ["::1", "0:0:0:0"],
    ["2001:db8:1:2::", "2001:db8:1:2"],
    ["", "0:0:0:0"],
  ] as const;
  for (const [address, network] of networks) assert.equal(networkOf(address), network, address);
});
