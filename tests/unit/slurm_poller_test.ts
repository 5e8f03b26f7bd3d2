import { strict as assert } from "node:assert";
import type { CommandAnswer } from "../../lib/executor/slurm/commands.ts";
import { QueuePoller } from "../../lib/executor/slurm/poller.ts";
import type { QueueAnswer } from "../../lib/executor/slurm/queue.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { isSettled, turn } from "../support/settled.ts";

const ANSWERED: CommandAnswer = { status: 0, text: "" };

/** An engine that answers when the test says so. */
class SlowEngine {
  readonly clock = new FakeClock();
  readonly answers: QueueAnswer[] = [];
  isNeeded = true;
  asked = 0;
  #answer: (answer: CommandAnswer) => void = () => {};
  readonly poller: QueuePoller = new QueuePoller({
    run: () => {
      this.asked++;
      return new Promise((resolve) => this.#answer = resolve);
    },
    clock: this.clock,
    uid: 1000,
    uidOf: () => 1000,
    isNeeded: () => this.isNeeded,
    onAnswer: (answer) => this.answers.push(answer),
  });

  /** Answers after some time. */
  async answer(afterMs: number, answer = ANSWERED): Promise<void> {
    this.clock.advance(afterMs);
    this.#answer(answer);
    await turn();
  }
}

Deno.test("QueuePoller: one question at a time, and the pause is in proportion to what the last one took", async () => {
  const engine = new SlowEngine();
  engine.poller.wake();
  engine.clock.advance(0);
  assert.equal(engine.asked, 1);
  engine.clock.advance(60_000);
  engine.poller.wake();
  assert.equal(engine.asked, 1, "the first one is under way");
  await engine.answer(0);
  assert.deepEqual(engine.clock.pendingMs, [15_000], "a bound, after a minute");

  engine.clock.advance(15_000);
  await engine.answer(50);
  assert.deepEqual(engine.clock.pendingMs, [1000], "of a quick one");

  engine.clock.advance(1000);
  await engine.answer(400);
  assert.deepEqual(engine.clock.pendingMs, [4000], "of one that takes longer");
  engine.poller.close();
});

Deno.test("QueuePoller: asks no more when there is nothing to ask for, and again when there is", async () => {
  const engine = new SlowEngine();
  engine.poller.wake();
  engine.clock.advance(0);
  engine.isNeeded = false;
  await engine.answer(10);
  assert.deepEqual(engine.clock.pendingMs, []);
  engine.clock.advance(400);
  engine.poller.wake();
  assert.deepEqual(
    engine.clock.pendingMs,
    [600],
    "no sooner for jobs that come one after the other",
  );
  engine.poller.close();
});

Deno.test("QueuePoller: whoever asks has the answer to a question that is asked from then on", async () => {
  const engine = new SlowEngine();
  engine.poller.wake();
  engine.clock.advance(0);
  engine.clock.advance(1);
  const next = engine.poller.next(30_000);
  await engine.answer(10);
  assert.equal(await isSettled(next), false, "that question was asked before");
  engine.clock.advance(100);
  const askedAtMs = engine.clock.nowMs();
  await engine.answer(10);
  assert.equal((await next)?.asOfMs, askedAtMs);
  engine.poller.close();
});

Deno.test("QueuePoller: whoever asks an engine that is away is told so in time, and what was known stays", async () => {
  using log = new CapturedLog();
  const engine = new SlowEngine();
  engine.poller.wake();
  engine.clock.advance(0);
  await engine.answer(10);
  const { answer } = engine.poller;
  const next = engine.poller.next(5000);
  for (let time = 0; time < 10; time++) {
    engine.clock.advance(400);
    await engine.answer(200, { status: 1, text: "slurm_load_jobs error: no\n" });
  }
  assert.equal(await next, undefined);
  assert.equal(engine.poller.answer, answer);
  assert.equal(engine.answers.length, 1);
  assert.equal(log.messages("warn").length, 1);
  engine.clock.advance(15_000);
  await engine.answer(10);
  assert.match(log.messages("info").join(), /answers again/);
  engine.poller.close();
});

Deno.test("QueuePoller: a process that cannot be made is as good as no answer", async () => {
  using log = new CapturedLog();
  const clock = new FakeClock();
  const poller = new QueuePoller({
    run: () => Promise.reject(new Error("no room for a process")),
    clock,
    uid: 0,
    uidOf: () => 0,
    isNeeded: () => true,
    onAnswer: () => assert.fail(),
  });
  poller.wake();
  clock.advance(0);
  await turn();
  assert.match(log.texts.join(), /no room for a process/);
  assert.equal(clock.pendingMs.length, 1);
  poller.close();
});
