import assert from "node:assert/strict";
import { countAnswers, readAnswered, toParameters } from "../../tools/vm/power_cut.ts";

const OUTPUT = `guest: the tests ended with status 0
boot 5b2c
answered 0 1
answered 3 1
ended 0 1
answered 0 2
x answered 1 7
answered 1 1
ended 1 `;

Deno.test("readAnswered: the newest answer of each client, from whole lines alone", () => {
  const answered = readAnswered(OUTPUT);
  assert.deepEqual([...answered.starts], [[0, 2], [3, 1], [1, 1]]);
  assert.deepEqual([...answered.ends], [[0, 1]]);
  assert.deepEqual(countAnswers(answered), { starts: 4, ends: 1 });
  assert.deepEqual(countAnswers(readAnswered("")), { starts: 0, ends: 0 });
});

Deno.test("toParameters: words that the kernel's command line can carry", () => {
  assert.deepEqual(toParameters(readAnswered(OUTPUT)), [
    "answered=0:2,3:1,1:1",
    "ended=0:1",
    "before=5b2c",
  ]);
});
