import assert from "node:assert/strict";
import { planStorms } from "../../soak/kills.ts";
import { draw } from "../../soak/picture.ts";
import type { Sample } from "../../soak/sample.ts";
import { findGrowth } from "../../soak/verdict.ts";

const MIB_BYTES = 1024 ** 2;
const LIMIT_BYTES = 256 * MIB_BYTES;

/** Samples, a second apart, of a server that is level but for what `change` says. */
function samples(
  change: (second: number) => Partial<Sample> = () => ({}),
  seconds = 30,
): Sample[] {
  return Array.from({ length: seconds }, (_, second) => ({
    atSeconds: second,
    residentBytes: 200 * MIB_BYTES,
    descriptors: 40,
    threads: 12,
    queryMs: 120,
    ...change(second),
  }));
}

function grown(change: (second: number) => Partial<Sample>): string[] {
  return findGrowth(samples(change), LIMIT_BYTES);
}

Deno.test("findGrowth: a level server has grown in nothing", () => {
  assert.deepEqual(grown(() => ({})), []);
});

Deno.test("findGrowth: what grows to the end is named, with its figures", () => {
  assert.deepEqual(grown((second) => ({ descriptors: 40 + 10 * second })), [
    "descriptors grew from 190 to 290",
  ]);
  assert.deepEqual(grown((second) => ({ threads: 12 + 2 * second })), [
    "threads grew from 42 to 62",
  ]);
});

Deno.test("findGrowth: the time of a query is judged where there is enough of it, and not before", () => {
  const slower = (second: number) => ({ queryMs: 120 + 30 * second });
  assert.deepEqual(grown(slower), []);
  assert.deepEqual(findGrowth(samples(slower, 179), LIMIT_BYTES), []);
  assert.deepEqual(findGrowth(samples(slower, 180), LIMIT_BYTES), [
    "queryMs grew from 2820 to 4620",
  ]);
  const slowMoment = (second: number) => second > 150 && second < 160 ? { queryMs: 5000 } : {};
  assert.deepEqual(findGrowth(samples(slowMoment, 180), LIMIT_BYTES), []);
});

Deno.test("findGrowth: memory that outgrows its limit once is growth, one below is none", () => {
  const peak = (mib: number) => (second: number) =>
    second === 17 ? { residentBytes: mib * MIB_BYTES } : {};
  assert.deepEqual(grown(peak(384)), []);
  assert.deepEqual(grown(peak(385)), ["memory reached 385 MiB, with a limit of 256 MiB"]);
});

Deno.test("findGrowth: one slow moment is no growth, and neither is the warming up", () => {
  assert.deepEqual(grown((second) => second === 25 ? { queryMs: 5000, descriptors: 900 } : {}), []);
  assert.deepEqual(grown((second) => second < 10 ? { threads: 2, descriptors: 3 } : {}), []);
});

Deno.test("findGrowth: too few samples show nothing, and are not passed", () => {
  assert.equal(findGrowth([], LIMIT_BYTES).length, 1);
  assert.equal(findGrowth(samples().slice(0, 2), LIMIT_BYTES).length, 1);
});

Deno.test("draw: has a line of all samples for each quantity, within the picture", () => {
  const picture = draw(samples((second) => ({ descriptors: second })));
  const lines = [...picture.matchAll(/<polyline points="([^"]*)"/g)].map(([, points = ""]) =>
    points.split(" ").map((point) => point.split(",").map(Number))
  );
  assert.deepEqual(lines.map((points) => points.length), [30, 30, 30, 30]);
  const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(picture)?.map(Number) ?? [];
  for (const [x = NaN, y = NaN] of lines.flat()) {
    assert(x >= 0 && x <= Number(width) && y >= 0 && y <= Number(height), `${x},${y}`);
  }
});

Deno.test("draw: without samples there is an empty picture, and no number that is none", () => {
  assert.doesNotMatch(draw([]), /NaN|Infinity|undefined/);
});

Deno.test("planStorms: as many kills as are asked for, each storm with another seed, always the same", () => {
  const storms = planStorms(250, 7);
  assert.deepEqual(storms.map(({ kills }) => kills), [100, 100, 50]);
  assert.equal(storms[0]?.seed, 7);
  assert.equal(new Set(storms.map(({ seed }) => seed)).size, 3);
  assert.deepEqual(planStorms(250, 7), storms);
  assert.notDeepEqual(planStorms(250, 8)[1], storms[1]);
});
