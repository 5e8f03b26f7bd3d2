import assert from "node:assert/strict";
import {
  FileTimer,
  readDurations,
  readFailures,
  readSkips,
  readTally,
  readTotal,
  readUnexplained,
  slowest,
  tookLine,
} from "../../tools/test/output.ts";

const OUTPUT = `SKIP b: no openssl on this host
running 3 tests from ./tests/unit/a_test.ts
a ... ok (1ms)
b ... ignored (0ms)
c ... FAILED (2ms)

FAILED | 1 passed (2 steps) | 1 failed | 1 ignored (5ms)

error: Test failed
`;

Deno.test("readTally: takes the counts of the summary", () => {
  assert.deepEqual(readTally(OUTPUT, false), { passed: 1, failed: 1, skipped: 1 });
  assert.deepEqual(readTally("ok | 37 passed | 0 failed (203ms)\n", true), {
    passed: 37,
    failed: 0,
    skipped: 0,
  });
});

Deno.test("readTally: takes the last summary, not one that a test printed", () => {
  const printed = "ok | 900 passed | 0 failed | 7 ignored (1ms)\n";
  assert.deepEqual(readTally(printed + OUTPUT, false), { passed: 1, failed: 1, skipped: 1 });
  assert.deepEqual(readTally(`${OUTPUT}  ${printed}`, false), { passed: 1, failed: 1, skipped: 1 });
});

Deno.test("readTally: a run without a summary is a failure", () => {
  assert.equal(readTally("", true).failed, 1);
  assert.equal(readTally("error: No test modules found\n", false).failed, 1);
});

Deno.test("readTally: a run that failed after its tests passed is a failure", () => {
  assert.equal(readTally("ok | 37 passed | 0 failed (203ms)\n", false).failed, 1);
});

Deno.test("readFailures: names each test that failed once, with its error", () => {
  const output = ` ERRORS 

a: does this => ./tests/support/test_timeout.ts:45:15
error: AssertionError: Values are not equal
    at x

trixie | b: does that => ./second_boot.js:45:15
trixie | error: Error: it was killed
trixie |     at y

./tests/unit/c_test.ts (uncaught error)
error: SyntaxError: no such export

 FAILURES 

a: does this => ./tests/support/test_timeout.ts:45:15
trixie | b: does that => ./second_boot.js:45:15
./tests/unit/c_test.ts (uncaught error)

FAILED | 1 passed | 3 failed (1s)

error: Test failed
`;
  assert.deepEqual(readFailures(output), [
    "a: does this: AssertionError: Values are not equal",
    "b: does that: Error: it was killed",
    "./tests/unit/c_test.ts: SyntaxError: no such export",
  ]);
  assert.deepEqual(readFailures(OUTPUT), []);
});

Deno.test("readTotal: takes the last closing line", () => {
  const output = "9 passed, 9 failed, 9 skipped\nx 8 passed, 0 failed, 0 skipped\n" +
    "3 passed, 1 failed, 2 skipped\n";
  assert.deepEqual(readTotal(output, false), { passed: 3, failed: 1, skipped: 2 });
});

Deno.test("readTotal: a run that failed, or has no closing line, is a failure", () => {
  assert.equal(readTotal("", true).failed, 1);
  assert.equal(readTotal("3 passed, 0 failed\n", true).failed, 1);
  assert.equal(readTotal("3 passed, 0 failed, 0 skipped\n", false).failed, 1);
  assert.equal(readTotal("3 passed, 0 failed, 0 skipped\n", true).failed, 0);
});

Deno.test("readSkips: gives name and reason, and nothing that has no reason", () => {
  assert.deepEqual(readSkips(OUTPUT), ["SKIP b: no openssl on this host"]);
  assert.deepEqual(readSkips("SKIP b\nSKIP b:\n SKIP b: c\n"), []);
});

Deno.test("readUnexplained: names what was ignored without a reason", () => {
  assert.deepEqual(readUnexplained(OUTPUT), []);
  assert.deepEqual(readUnexplained("bb ... ignored (0ms)\n" + OUTPUT), ["bb"]);
});

Deno.test("FileTimer: a file takes from its first line to the next file's, or the summary", () => {
  let nowMs = 5;
  const timer = new FileTimer(() => nowMs);
  const add = (ms: number, text: string) => {
    nowMs = ms;
    timer.add(text);
  };
  add(10, "SKIP b: c\nrunning 3 tests from ./tests/unit/a_test.ts\na ... ok (1ms)\n");
  add(30, "running 1 test from ./tests/un");
  assert.deepEqual(timer.durations, []);
  add(40, "it/b_test.ts\n  ok | 1 passed\n");
  assert.deepEqual(timer.durations, [{ name: "tests/unit/a_test.ts", ms: 30 }]);
  add(100, "\nok | 37 passed | 0 failed (203ms)\n");
  add(200, "\nok | 37 passed | 0 failed (203ms)\n");
  assert.deepEqual(timer.durations.slice(1), [{ name: "tests/unit/b_test.ts", ms: 60 }]);
});

Deno.test("readDurations: reads what tookLine writes, and nothing else", () => {
  const written = [{ name: "guest of Debian x: first", ms: 61_200 }, { name: "a", ms: 0 }];
  const output = `x took 1.0 s: a\n${written.map(tookLine).join("\n")}\ntook long: b\n`;
  assert.deepEqual(readDurations(output), written);
});

Deno.test("slowest: the longest first, and no more than asked for", () => {
  const durations = [1, 3, 2].map((ms) => ({ name: String(ms), ms }));
  assert.deepEqual(slowest(durations, 2).map(({ ms }) => ms), [3, 2]);
  assert.deepEqual(slowest([], 2), []);
});
