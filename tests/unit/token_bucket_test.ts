import { strict as assert } from "node:assert";
import { TokenBucket } from "../../lib/access/token_bucket.ts";

/** How many tokens can be taken now. */
function drain(bucket: TokenBucket): number {
  let taken = 0;
  while (taken < 10_000 && bucket.take()) taken++;
  return taken;
}

Deno.test("TokenBucket: is full at first, and gives no more than it holds", () => {
  const bucket = new TokenBucket({ capacity: 3, perSecond: 1 }, 0);
  assert.equal(drain(bucket), 3);
  assert.equal(bucket.take(), false);
});

Deno.test("TokenBucket: tokens come back evenly, parts of one are kept", () => {
  const bucket = new TokenBucket({ capacity: 10, perSecond: 2 }, 1000);
  drain(bucket);
  for (
    const [nowMs, expected] of [[1499, 0], [1500, 1], [1750, 0], [2000, 1], [4000, 4]] as const
  ) {
    bucket.earn(nowMs);
    assert.equal(drain(bucket), expected, `at ${nowMs}`);
  }
});

Deno.test("TokenBucket: never holds more than its capacity", () => {
  const bucket = new TokenBucket({ capacity: 3, perSecond: 100 }, 0);
  bucket.earn(1e9);
  assert.equal(drain(bucket), 3);
});

Deno.test("TokenBucket: a refused take costs nothing", () => {
  const bucket = new TokenBucket({ capacity: 1, perSecond: 1 }, 0);
  drain(bucket);
  for (let attempt = 0; attempt < 100; attempt++) assert(!bucket.take());
  bucket.earn(1000);
  assert(bucket.take());
});

Deno.test("TokenBucket: Infinity is no bound, also when no time has passed", () => {
  const bucket = new TokenBucket({ capacity: Infinity, perSecond: Infinity }, 0);
  for (const nowMs of [0, 0, 1]) {
    bucket.earn(nowMs);
    assert.equal(drain(bucket), 10_000);
  }
});

Deno.test("TokenBucket: a capacity below one gives nothing, and zero a second nothing more", () => {
  assert.equal(drain(new TokenBucket({ capacity: 0.5, perSecond: 1 }, 0)), 0);
  const bucket = new TokenBucket({ capacity: 2, perSecond: 0 }, 0);
  drain(bucket);
  bucket.earn(1e12);
  assert.equal(drain(bucket), 0);
});

Deno.test("TokenBucket: atMs is when tokens were added the last time", () => {
  const bucket = new TokenBucket({ capacity: 1, perSecond: 1 }, 5);
  assert.equal(bucket.atMs, 5);
  bucket.earn(9);
  assert.equal(bucket.atMs, 9);
});
