import assert from "node:assert/strict";
import { dealOut, planLanes, runInLanes, runQueue } from "../../tools/test/lanes.ts";

Deno.test("planLanes: the longest begin first, the others keep their order, some are alone", () => {
  const plan = planLanes(["a", "b", "c", "d", "e"], {
    alone: new Set(["b", "x"]),
    longestFirst: ["d", "x", "c"],
  });
  assert.deepEqual(plan, { together: ["d", "c", "a", "e"], alone: ["b"] });
});

Deno.test("dealOut: each item goes to one hand, and no hand is empty", () => {
  assert.deepEqual(dealOut([1, 2, 3, 4, 5], 2), [[1, 3, 5], [2, 4]]);
  assert.deepEqual(dealOut([1, 2], 4), [[1], [2]]);
  assert.deepEqual(dealOut([], 4), []);
});

/** Items that are run, and how many of them at once. */
class Runs {
  readonly begun: string[] = [];
  most = 0;
  readonly #running = new Map<string, () => void>();

  readonly run = async (item: string): Promise<void> => {
    this.begun.push(item);
    const done = Promise.withResolvers<void>();
    this.#running.set(item, done.resolve);
    this.most = Math.max(this.most, this.#running.size);
    await done.promise;
  };

  /** Lets an item end, and everything that follows from it happen. */
  async end(item: string): Promise<void> {
    this.#running.get(item)?.();
    this.#running.delete(item);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

Deno.test("runQueue: the next begins when one has ended, and no more than so many run", async () => {
  const runs = new Runs();
  const all = runQueue(["a", "b", "c", "d"], 2, runs.run);
  await runs.end("");
  assert.deepEqual(runs.begun, ["a", "b"]);
  await runs.end("b");
  assert.deepEqual(runs.begun, ["a", "b", "c"]);
  for (const item of ["c", "a", "d"]) await runs.end(item);
  await all;
  assert.deepEqual([runs.begun, runs.most], [["a", "b", "c", "d"], 2]);
});

Deno.test("runInLanes: what is alone begins when all others have ended", async () => {
  const runs = new Runs();
  const options = { lanes: 2, alone: new Set(["a", "d"]), longestFirst: [] };
  const all = runInLanes(["a", "b", "c", "d"], options, runs.run);
  await runs.end("");
  assert.deepEqual(runs.begun, ["b", "c"]);
  for (const item of ["b", "c"]) await runs.end(item);
  assert.deepEqual(runs.begun, ["b", "c", "a"]);
  for (const item of ["a", "d"]) await runs.end(item);
  await all;
  assert.deepEqual(runs.begun, ["b", "c", "a", "d"]);
});

Deno.test("runInLanes: what runs beside begins with the first, and is done before what is alone", async () => {
  const runs = new Runs();
  const beside = () => runs.run("beside");
  const options = { lanes: 1, alone: new Set(["a"]), longestFirst: [], beside };
  const all = runInLanes(["a", "b", "c"], options, runs.run);
  await runs.end("");
  assert.deepEqual(runs.begun, ["b", "beside"]);
  for (const item of ["b", "c"]) await runs.end(item);
  assert.deepEqual(runs.begun, ["b", "beside", "c"]);
  await runs.end("beside");
  assert.deepEqual(runs.begun, ["b", "beside", "c", "a"]);
  await runs.end("a");
  await all;
});

Deno.test("runQueue: what fails ends the whole", async () => {
  await assert.rejects(
    runQueue(["a"], 2, () => Promise.reject(new Error("no"))),
    /no/,
  );
});
