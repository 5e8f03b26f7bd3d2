import assert from "node:assert/strict";
import { hasGivenUp } from "../../soak/storm/commands.ts";
import { Watch } from "../../soak/storm/watch.ts";
import { isSettled } from "../support/settled.ts";

Deno.test("hasGivenUp: the exit status of a wait is its job's, also where start says so that it could not connect", () => {
  assert(hasGivenUp(["start", "true"], 3, ""));
  assert(hasGivenUp(["stream", "ID"], 3, ""));
  assert(!hasGivenUp(["wait", "ID"], 3, ""));
  assert(hasGivenUp(["wait", "ID"], 125, "Cannot connect to localhost:1"));
});

Deno.test("hasGivenUp: other failures are none of the connection", () => {
  assert(!hasGivenUp(["start", "true"], 1, "Cannot connect"));
  assert(!hasGivenUp(["wait", "ID"], 125, "There is no job ID"));
});

Deno.test("Watch: what is done in time is passed on, with its failure", async () => {
  const watch = new Watch();
  assert.equal(await watch.inTime("a start", Promise.resolve(7)), 7);
  await assert.rejects(
    watch.inTime("a stop", Promise.reject(new Error("refused"))),
    /^Error: refused$/,
  );
  assert.equal(watch.describe(), "");
});

Deno.test("Watch: what is not done in time fails, and names all that is under way", async () => {
  const watch = new Watch(20);
  const never = new Promise<void>(() => {});
  const other = watch.inTime("the start of key-3", never);
  const late = watch.inTime("the stop of job 7", new Promise<void>(() => {}));
  const expected =
    /It stands still. Under way: the start of key-3 \(0 s\), the stop of job 7 \(0 s\)/;
  await assert.rejects(other, expected);
  await assert.rejects(late, /Under way: the stop of job 7/);
});

Deno.test("Watch: calm comes when what has been under way for too long has ended", async () => {
  const watch = new Watch(100);
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = watch.inTime("a start", promise);
  await watch.calm(1000);
  const calm = watch.calm(-1);
  const later = watch.inTime("a stop", new Promise<void>(() => {}));
  assert(!await isSettled(calm));
  resolve();
  await waiting;
  // What has begun since is not waited for.
  await calm;
  await assert.rejects(later);
});

Deno.test("Watch: what takes long is waited for while other things are done, and not for ever", async () => {
  const watch = new Watch(40);
  const late = watch.inTime("the stop of job 7", new Promise<void>(() => {}));
  let isOver = false;
  const failed = assert.rejects(late, /Under way: the stop of job 7/).finally(() => isOver = true);
  const beganMs = performance.now();
  while (!isOver) {
    await watch.inTime("a start", new Promise((resolve) => setTimeout(resolve, 5)));
  }
  await failed;
  assert(performance.now() - beganMs >= 5 * 40);
});
