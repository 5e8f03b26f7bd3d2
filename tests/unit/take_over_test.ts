/** When a long stream goes over to its second connection. */
import { strict as assert } from "node:assert";
import { BULK_AFTER_BYTES, TakeOver } from "../../client/jobs/take_over.ts";
import { type Deferred, deferred } from "../../common/deferred.ts";
import { turn } from "../support/settled.ts";

class FakeSecond implements Disposable {
  isClosed = false;
  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}

function makeTakeOver() {
  const attempts: Deferred<FakeSecond | undefined>[] = [];
  const takeOver = new TakeOver(() => {
    const attempt = deferred<FakeSecond | undefined>();
    attempts.push(attempt);
    return attempt.promise;
  });
  const state = { isDue: false };
  void takeOver.due.then(() => state.isDue = true);
  return { takeOver, attempts, state };
}

Deno.test("TakeOver: the first stream goes on until the second connection is there", async () => {
  const { takeOver, attempts, state } = makeTakeOver();
  takeOver.count(BULK_AFTER_BYTES - 1);
  assert.equal(attempts.length, 0);
  takeOver.count(1);
  takeOver.count(1);
  await turn();
  assert.deepEqual([attempts.length, state.isDue], [1, false]);
  const second = new FakeSecond();
  attempts[0]?.resolve(second);
  await turn();
  assert.equal(state.isDue, true);
  assert.equal(await takeOver.second(), second);
  assert.equal(second.isClosed, false);
  takeOver[Symbol.dispose]();
  await turn();
  assert.equal(second.isClosed, true);
});

Deno.test("TakeOver: a fast first stream ends, so that the handshake has its turns", async () => {
  const { takeOver, attempts, state } = makeTakeOver();
  takeOver.count(BULK_AFTER_BYTES);
  takeOver.count(7 * BULK_AFTER_BYTES - 1);
  await turn();
  assert.equal(state.isDue, false);
  takeOver.count(1);
  await turn();
  assert.deepEqual([attempts.length, state.isDue], [1, true]);
});

Deno.test("TakeOver: without a second connection the first stream never ends for it", async () => {
  const { takeOver, attempts, state } = makeTakeOver();
  takeOver.count(BULK_AFTER_BYTES);
  attempts[0]?.resolve(undefined);
  await turn();
  takeOver.count(100 * BULK_AFTER_BYTES);
  await turn();
  assert.deepEqual([attempts.length, state.isDue], [1, false]);
  assert.equal(await takeOver.second(), undefined);
});

Deno.test("TakeOver: a connection that comes after the stream's end is closed", async () => {
  const { takeOver, attempts } = makeTakeOver();
  takeOver.count(BULK_AFTER_BYTES);
  takeOver[Symbol.dispose]();
  const second = new FakeSecond();
  attempts[0]?.resolve(second);
  await turn();
  assert.equal(second.isClosed, true);
});
