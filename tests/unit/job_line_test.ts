/** Whose turn it is in a queue of one host. */
import { strict as assert } from "node:assert";
import { Line } from "../../lib/job/line.ts";

/** A line of jobs such as `a1`, each of the owner with its first letter. */
function lineOf(...ids: string[]): Line {
  const line = new Line();
  for (const id of ids) line.add(id, id.slice(0, 1));
  return line;
}

/** Takes all jobs, in their order. */
function drain(line: Line, mayRun: (owner: string) => boolean = () => true): string[] {
  const taken: string[] = [];
  for (let id = line.take(mayRun); id !== undefined; id = line.take(mayRun)) taken.push(id);
  return taken;
}

Deno.test("Line: an owner's jobs come in the order in which they were added", () => {
  assert.deepEqual(drain(lineOf("a1", "a2", "a3")), ["a1", "a2", "a3"]);
  assert.equal(new Line().take(() => true), undefined);
});

Deno.test("Line: owners have their turns one after the other, whatever each has waiting", () => {
  const many = Array.from({ length: 1000 }, (_, index) => `a${index}`);
  assert.deepEqual(drain(lineOf(...many, "b1", "b2", "c1")).slice(0, 6), [
    ...["a0", "b1", "c1"],
    ...["a1", "b2", "a2"],
  ]);
});

Deno.test("Line: who has just had a turn is the last to have another, also with a new job", () => {
  const line = lineOf("a1", "b1", "c1");
  assert.equal(line.take(() => true), "a1");
  line.add("a2", "a");
  assert.deepEqual(drain(line), ["b1", "c1", "a2"]);
});

Deno.test("Line: an owner who may not run more is passed over, and keeps the turn", () => {
  const line = lineOf("a1", "a2", "b1", "b2");
  assert.deepEqual(drain(line, (owner) => owner === "b"), ["b1", "b2"]);
  assert.deepEqual(drain(line), ["a1", "a2"]);
});

Deno.test("Line: a job leaves it from anywhere; one that is not in it changes nothing", () => {
  const line = lineOf("a1", "a2", "b1");
  line.delete("a1", "a");
  line.delete("a1", "a");
  line.delete("b9", "b");
  line.delete("d1", "d");
  assert.equal(line.size, 2);
  assert.deepEqual(drain(line), ["a2", "b1"]);
  assert.equal(line.size, 0);
});

Deno.test("Line: a job that is put back is the next one again", () => {
  const line = lineOf("a1", "a2", "b1");
  line.putBack(line.take(() => true) ?? "", "a");
  assert.equal(line.size, 3);
  assert.equal(line.positionOf("a1"), 1);
  assert.deepEqual(drain(line), ["a1", "b1", "a2"]);
});

Deno.test("Line: the positions are those in which the jobs are taken, after each change", () => {
  const line = lineOf("a1", "a2", "a3", "b1", "c1", "c2");
  const check = () => {
    const positions = new Map(ALL.map((id) => [id, line.positionOf(id)]));
    const expected = ALL.filter((id) => positions.get(id) !== 0)
      .sort((one, other) => (positions.get(one) ?? 0) - (positions.get(other) ?? 0));
    return { positions, expected };
  };
  const ALL = ["a1", "a2", "a3", "b1", "c1", "c2"];
  assert.deepEqual([...check().positions.values()], [1, 4, 6, 2, 3, 5]);
  line.delete("b1", "b");
  assert.equal(line.positionOf("b1"), 0);
  assert.deepEqual([...check().positions.values()], [1, 3, 5, 0, 2, 4]);
  assert.equal(line.take(() => true), "a1");
  const { expected } = check();
  assert.deepEqual(drain(line), expected);
});

Deno.test("Line: ten thousand jobs are taken, and their positions told, in little time", () => {
  const line = new Line();
  for (let index = 0; index < 10_000; index++) line.add(`${index}`, `owner${index % 100}`);
  const beganAtMs = performance.now();
  for (let index = 0; index < 10_000; index++) line.positionOf(`${index}`);
  assert.equal(drain(line).length, 10_000);
  // Each alone takes some milliseconds; what looks at all jobs for each takes seconds.
  assert(performance.now() - beganAtMs < 1000);
});
