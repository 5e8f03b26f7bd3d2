import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { OutputPosition, type OutputRange } from "../../client/jobs/output_position.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

/** A position, and what its sink was told in order. */
function begin(range: Partial<OutputRange> = {}) {
  const events: string[] = [];
  const position = new OutputPosition({ jobID: ID, follow: true, ...range }, {
    take: (bytes, offset) => events.push(`${offset}: ${new TextDecoder().decode(bytes)}`),
    skip: (gapBytes, offset) => events.push(`gap of ${gapBytes} before ${offset}`),
  });
  const take = (offset: number, text: string, gapBytes = 0, timeMs = 0) =>
    position.take({ offset, output: Buffer.from(text), gapBytes, timeMs });
  return { position, events, take };
}

Deno.test("OutputPosition: consecutive messages are passed on as they are", () => {
  const { position, events, take } = begin();
  take(0, "abc");
  take(3, "de");
  assert.deepEqual(events, ["0: abc", "3: de"]);
  assert.equal(position.next, 5);
});

Deno.test("OutputPosition: a repeated byte is left out, whole messages too", () => {
  const { position, events, take } = begin();
  take(0, "abc");
  take(0, "abc");
  take(1, "bcd");
  take(2, "c");
  assert.deepEqual(events, ["0: abc", "3: d"]);
  assert.equal(position.next, 4);
});

Deno.test("OutputPosition: a gap is told with its length before the bytes behind it", () => {
  const { position, events, take } = begin();
  take(0, "abc");
  take(10, "xyz", 7);
  assert.deepEqual(events, ["0: abc", "gap of 7 before 10", "10: xyz"]);
  assert.equal(position.next, 13);
});

Deno.test("OutputPosition: a gap that the server does not mention is told all the same", () => {
  const { events, take } = begin();
  take(0, "abc");
  take(4, "e");
  assert.deepEqual(events, ["0: abc", "gap of 1 before 4", "4: e"]);
});

Deno.test("OutputPosition: a gap at the end of the output is told without bytes", () => {
  const { position, events, take } = begin({ offset: 100 });
  take(150, "", 50);
  assert.deepEqual(events, ["gap of 50 before 150"]);
  assert.equal(position.next, 150);
});

Deno.test("OutputPosition: a gap is told once, however often the server repeats it", () => {
  const { events, take } = begin();
  take(5, "", 5);
  take(5, "f", 5);
  assert.deepEqual(events, ["gap of 5 before 5", "5: f"]);
});

Deno.test("OutputPosition: a heartbeat changes nothing", () => {
  const { position, events, take } = begin();
  take(0, "abc");
  take(3, "");
  assert.deepEqual(events, ["0: abc"]);
  assert.equal(position.next, 3);
});

Deno.test("OutputPosition: a heartbeat of a tail says where it starts, so that it can be resumed", () => {
  const { position, events, take } = begin({ tailLines: 2 });
  assert.equal(position.next, undefined);
  take(70, "");
  assert.equal(position.next, 70);
  assert.deepEqual(events, []);
});

Deno.test("OutputPosition: a tail whose beginning was rotated away has a gap", () => {
  const { events, take } = begin({ tailBytes: 100 });
  take(70, "abc", 20);
  assert.deepEqual(events, ["gap of 20 before 70", "70: abc"]);
});

Deno.test("OutputPosition: the request continues at the very next byte", () => {
  const { position, take } = begin();
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, offset: 0 });
  take(0, "abc");
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, offset: 3 });
  take(10, "x", 7);
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, offset: 11 });
});

Deno.test("OutputPosition: a tail is requested as one until its place is known", () => {
  const lines = begin({ tailLines: 2, follow: false });
  assert.deepEqual(lines.position.request(), { jobID: ID, noFollow: true, tailLines: 2 });
  const { position, take } = begin({ tailBytes: 0 });
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, tailBytes: 0 });
  take(70, "abc");
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, offset: 73 });
});

Deno.test("OutputPosition: starts at the offset that was asked for", () => {
  const { position, events, take } = begin({ offset: 2 });
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, offset: 2 });
  take(2, "c");
  assert.deepEqual(events, ["2: c"]);
});

Deno.test("OutputPosition: since a time, each request says it until there are bytes", () => {
  const { position, events, take } = begin({ sinceMs: 5, tailLines: 2, timestamps: true });
  take(40, "", 0, 7);
  assert.equal(position.next, undefined);
  const asked = { jobID: ID, noFollow: false, timestamps: true };
  assert.deepEqual(position.request(), { ...asked, sinceMs: 5, tailLines: 2 });
  take(50, "abc", 0, 7);
  assert.deepEqual(events, ["50: abc"], "what the server left out on purpose is no gap");
  assert.deepEqual(position.request(), { ...asked, offset: 53 });
});

Deno.test("OutputPosition: until a time, each request says it", () => {
  const { position, take } = begin({ untilMs: 9 });
  take(0, "abc", 0, 7);
  const asked = { jobID: ID, noFollow: false, timestamps: true };
  assert.deepEqual(position.request(), { ...asked, untilMs: 9, offset: 3 });
});

Deno.test("OutputPosition: a server that does not know times is told of, and nothing of it is shown", () => {
  for (const range of [{ sinceMs: 5 }, { untilMs: 5 }, { timestamps: true }]) {
    const { events, take } = begin(range);
    take(0, "");
    assert.throws(
      () => take(0, "abc"),
      /older than this client.*--since, --until and --timestamps/,
    );
    assert.deepEqual(events, []);
  }
});

Deno.test("OutputPosition: standard error is asked for with each request", () => {
  const { position, take } = begin({ stderr: true });
  take(0, "abc");
  assert.deepEqual(position.request(), { jobID: ID, noFollow: false, stderr: true, offset: 3 });
});
