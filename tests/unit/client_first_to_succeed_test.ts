/** Several ways to the same end: which one is taken, and what becomes of the others. */
import assert from "node:assert/strict";
import { firstToSucceed } from "../../client/connection/first_to_succeed.ts";
import { FakeTime } from "../support/fake_time.ts";

/** A way that succeeds or fails when a test says so. */
class Way {
  isTried = false;
  isEnded = false;
  succeed = () => {};
  fail = () => {};

  constructor(readonly name: string) {}

  readonly take = (signal: AbortSignal): Promise<string> => {
    this.isTried = true;
    signal.addEventListener("abort", () => this.isEnded = true);
    return new Promise((resolve, reject) => {
      this.succeed = () => resolve(this.name);
      this.fail = () => reject(new Error(`${this.name} failed`));
    });
  };
}

/** Two ways that are tried, and what came of them. */
class World implements Disposable {
  readonly time = new FakeTime();
  readonly one = new Way("one");
  readonly two = new Way("two");
  readonly stop = new AbortController();
  outcome: string | undefined;

  constructor() {
    const { signal } = this.stop;
    firstToSucceed([this.one.take, this.two.take], { nextAfterMs: 250, signal })
      .then((value) => this.outcome = value, (error) => this.outcome = error.message);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

Deno.test("first to succeed: where the first way works no other is tried", async () => {
  using world = new World();
  world.one.succeed();
  await world.time.advance(1000);
  assert.equal(world.outcome, "one");
  assert.equal(world.two.isTried, false);
  assert.equal(world.one.isEnded, false, "what was made is not undone");
  assert.equal(world.time.pendingCount, 0);
});

Deno.test("first to succeed: a way that fails is followed by the next at once", async () => {
  using world = new World();
  world.one.fail();
  await world.time.settle();
  assert.equal(world.two.isTried, true);
  world.two.succeed();
  await world.time.settle();
  assert.equal(world.outcome, "two");
});

Deno.test("first to succeed: beside a way that takes long the next is tried, and the slow one ended", async () => {
  using world = new World();
  await world.time.advance(249);
  assert.equal(world.two.isTried, false);
  await world.time.advance(1);
  world.two.succeed();
  await world.time.settle();
  assert.equal(world.outcome, "two");
  assert.deepEqual([world.one.isEnded, world.two.isEnded], [true, false]);
});

Deno.test("first to succeed: a slow way may still be the first", async () => {
  using world = new World();
  await world.time.advance(250);
  world.one.succeed();
  world.two.succeed();
  await world.time.settle();
  assert.equal(world.outcome, "one");
  assert.deepEqual([world.one.isEnded, world.two.isEnded], [false, true]);
});

Deno.test("first to succeed: when all have failed it fails, not before", async () => {
  using world = new World();
  await world.time.advance(250);
  world.two.fail();
  await world.time.settle();
  assert.equal(world.outcome, undefined);
  world.one.fail();
  await world.time.settle();
  assert.equal(world.outcome, "one failed");
  assert.equal(world.time.pendingCount, 0);
});

Deno.test("first to succeed: its signal ends every way", async () => {
  using world = new World();
  await world.time.advance(250);
  world.stop.abort(new Error("enough"));
  await world.time.settle();
  assert.equal(world.outcome, "enough");
  assert.deepEqual([world.one.isEnded, world.two.isEnded], [true, true]);
});
