import assert from "node:assert/strict";
import { RetryPolicy } from "../../client/connection/retry_policy.ts";

/** The delays that a policy gives while no time passes. */
function delaysOf(policy: RetryPolicy, count: number): number[] {
  return Array.from({ length: count }, () => policy.nextDelayMs() ?? NaN);
}

function assertJittered(actual: readonly number[], expected: readonly number[]): void {
  for (const [index, delayMs] of expected.entries()) {
    const value = actual[index] ?? NaN;
    assert(value >= delayMs / 2 && value <= delayMs, `${value} is not within ${delayMs}`);
  }
}

Deno.test("RetryPolicy: delays double up to the longest, at least half of each fixed", () => {
  const delaysMs = delaysOf(new RetryPolicy(3_600_000), 7);
  assertJittered(delaysMs, [250, 500, 1000, 2000, 4000, 5000, 5000]);
});

Deno.test("RetryPolicy: no delay is longer than the given maximum", () => {
  const delaysMs = delaysOf(new RetryPolicy(3_600_000, { maxDelayMs: 500 }), 4);
  assertJittered(delaysMs, [250, 500, 500, 500]);
});

Deno.test("RetryPolicy: delays are random, so that clients do not return together", () => {
  const delaysMs = Array.from({ length: 20 }, () => new RetryPolicy(3_600_000).nextDelayMs());
  assert(new Set(delaysMs).size > 1);
});

Deno.test("RetryPolicy: with 0 there is no retry", () => {
  assert.equal(new RetryPolicy(0).nextDelayMs(), undefined);
});

Deno.test("RetryPolicy: a delay that would end after the time is not begun", () => {
  assert.equal(new RetryPolicy(100).nextDelayMs(), undefined);
});

Deno.test("RetryPolicy: the time counts from the first failure, not from the last", () => {
  let nowMs = 5_000;
  const policy = new RetryPolicy(10_000, { clock: () => nowMs, maxDelayMs: 250 });
  for (const laterMs of [0, 5_000, 9_700]) {
    nowMs = 5_000 + laterMs;
    assert.notEqual(policy.nextDelayMs(), undefined, `after ${laterMs} ms`);
  }
  nowMs = 5_000 + 9_900;
  assert.equal(policy.nextDelayMs(), undefined);
});

Deno.test("RetryPolicy: a success gives the next failure the whole time and the first delay", () => {
  let nowMs = 0;
  const policy = new RetryPolicy(10_000, { clock: () => nowMs });
  assert.equal(policy.hasFailed, false);
  delaysOf(policy, 6);
  assert.equal(policy.hasFailed, true);
  nowMs = 9_999;
  assert.equal(policy.nextDelayMs(), undefined);
  policy.reset();
  assert.equal(policy.hasFailed, false);
  assertJittered(delaysOf(policy, 2), [250, 500]);
});
