import assert from "node:assert/strict";
import { Patience } from "../../client/connection/patience.ts";

Deno.test("Patience: pauses double up to the longest, each with chance in its second half", () => {
  const patience = new Patience(3_600_000);
  for (const pauseMs of [250, 500, 1000, 2000, 4000, 5000, 5000]) {
    const actual = patience.nextPauseMs() ?? NaN;
    assert(actual >= pauseMs / 2 && actual <= pauseMs, `${actual} is not within ${pauseMs}`);
  }
});

Deno.test("Patience: no pause is longer than what is asked for", () => {
  const patience = new Patience(3_600_000, { longestPauseMs: 500 });
  for (const pauseMs of [250, 500, 500, 500]) {
    const actual = patience.nextPauseMs() ?? NaN;
    assert(actual >= pauseMs / 2 && actual <= pauseMs, `${actual} is not within ${pauseMs}`);
  }
});

Deno.test("Patience: without time there is no second try", () => {
  assert.equal(new Patience(0).nextPauseMs(), undefined);
});

Deno.test("Patience: a pause that would end after the time is not begun", () => {
  assert.equal(new Patience(100).nextPauseMs(), undefined);
});

Deno.test("Patience: a success makes the next trouble a new one", () => {
  const patience = new Patience(3_600_000);
  assert.equal(patience.isTried, false);
  for (let count = 0; count < 6; count++) patience.nextPauseMs();
  assert.equal(patience.isTried, true);
  patience.reset();
  assert.equal(patience.isTried, false);
  assert((patience.nextPauseMs() ?? NaN) <= 250);
});
