import assert from "node:assert/strict";
import { MemoryWatch } from "../../lib/server/memory_watch.ts";

const LIMIT = 1000;

/** What a watch says to one look a second, one for each figure. */
function look(limitBytes: number, figures: readonly number[]): boolean[] {
  const watch = new MemoryWatch(limitBytes);
  // The clock of a process does not begin with its watch.
  return figures.map((bytes, second) => watch.isTimeToHandOver(bytes, 5000 + second * 1000));
}

/** The looks of the first ten seconds. */
function start(bytes: number): number[] {
  return new Array<number>(10).fill(bytes);
}

Deno.test("MemoryWatch: what has grown past the limit is handed over", () => {
  assert.deepEqual(look(LIMIT, [...start(100), 100, 1000, 1001]).slice(10), [false, false, true]);
});

Deno.test("MemoryWatch: nothing is handed over in the first ten seconds", () => {
  assert(!look(LIMIT, [100, ...start(5000)]).includes(true));
});

Deno.test("MemoryWatch: a start that is past the limit already is no growth", () => {
  assert(!look(LIMIT, [...start(5000), 5000, 5000, 5249]).includes(true));
});

Deno.test("MemoryWatch: a start past the limit is left when a quarter of the limit has come", () => {
  assert.deepEqual(look(LIMIT, [...start(5000), 5000, 5249, 5250]).slice(10), [false, false, true]);
});

Deno.test("MemoryWatch: growth counts from ten seconds on, not from the very start", () => {
  assert(!look(LIMIT, [...start(100), 900, 1149]).includes(true));
});

Deno.test("MemoryWatch: a quarter more below the limit is no reason", () => {
  assert(!look(LIMIT, [...start(100), 100, 999, 1000]).includes(true));
});

Deno.test("MemoryWatch: what has been freed again is no reason", () => {
  assert(!look(LIMIT, [...start(900), 900, 200, 1000]).includes(true));
});

Deno.test("MemoryWatch: without a limit nothing is ever too much", () => {
  assert(!look(Infinity, [...start(100), 100, Number.MAX_SAFE_INTEGER]).includes(true));
});
