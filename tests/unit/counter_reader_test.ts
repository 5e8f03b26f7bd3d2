import { strict as assert } from "node:assert";
import { CounterReader, type Counters } from "../../lib/executor/counter_reader.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { handleOf } from "../support/fake_executor.ts";
import { inTime } from "../support/wait.ts";

/** A reader whose reads end when the test says so. */
function place() {
  const reads: { trackers: string[]; end: PromiseWithResolvers<Counters[]> }[] = [];
  const reader = new CounterReader((placements) => {
    const end = Promise.withResolvers<Counters[]>();
    reads.push({ trackers: placements.map(({ tracker }) => tracker), end });
    return end.promise;
  });
  return { reader, reads };
}

const [ONE, TWO] = [handleOf("one"), handleOf("two")];

function counted(text: string): Counters {
  return new Map([["cpu", text]]) as unknown as Counters;
}

Deno.test("CounterReader: one read at a time, and who asks meanwhile shares the next one", async () => {
  const { reader, reads } = place();
  const first = reader.read([ONE]);
  const others = Array.from({ length: 100 }, () => reader.read([ONE]));
  const both = reader.read([TWO, ONE]);
  assert.equal(reads.length, 1);
  reads[0]?.end.resolve([counted("old")]);
  assert.deepEqual(await inTime("the first", first), [counted("old")]);
  assert.deepEqual(reads.slice(1).map(({ trackers }) => trackers), [[ONE.tracker, TWO.tracker]]);
  reads[1]?.end.resolve([counted("1"), counted("2")]);
  for (const other of others) assert.deepEqual(await inTime("another", other), [counted("1")]);
  assert.deepEqual(await inTime("both", both), [counted("2"), counted("1")]);
  assert.equal(reads.length, 2);
});

Deno.test("CounterReader: a read that fails is an answer without counters, told once, and the next one is made", async () => {
  using log = new CapturedLog();
  const { reader, reads } = place();
  for (let time = 0; time < 2; time++) {
    const failed = reader.read([ONE]);
    reads.at(-1)?.end.reject(new Error("no process left"));
    assert.deepEqual(await inTime("an answer", failed), [new Map()]);
  }
  assert.equal(log.messages("warn").length, 1);
  const later = reader.read([ONE]);
  reads.at(-1)?.end.resolve([counted("1")]);
  assert.deepEqual(await inTime("counters", later), [counted("1")]);
});
