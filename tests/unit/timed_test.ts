/** Output between times, and with them, over real files and a clock of the test's own. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { OutputLog, type ReadRange } from "../../lib/logs.ts";
import { HEADROOM_BYTES } from "../../lib/logs/headroom.ts";
import { type TimeEntry, TimeIndex } from "../../lib/logs/time_index.ts";
import { TimedReader, type Timing } from "../../lib/logs/timed.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { ReadHook } from "../support/read_hook.ts";
import { isSettled } from "../support/settled.ts";
import { inTime, until } from "../support/wait.ts";

const NEVER = new AbortController().signal;

class Place implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: OutputLog;
  readonly #folder: string;
  readonly #beginMs = this.clock.nowMs();

  constructor(folder: string, firstOffset = 0, finished = false) {
    this.#folder = folder;
    const [gapsPath, timesPath] = [join(folder, "gaps"), join(folder, "times")];
    this.log = new OutputLog(join(folder, "output"), {
      firstOffset,
      finished,
      gapsPath,
      timesPath,
    });
  }

  /** @param written Pieces of output, each with the second after the beginning at which it was seen. */
  static async make(
    written: readonly [second: number, text: string][],
    { firstOffset = 0, finished = true } = {},
  ): Promise<Place> {
    const place = new Place(
      await Deno.makeTempDir({ prefix: "job-worker-timed-" }),
      firstOffset,
      finished,
    );
    let output = "";
    const entries: TimeEntry[] = written.map(([second, text]) => ({
      bytes: (output += text).length,
      timeMs: place.at(second),
    }));
    await Deno.writeFile(join(place.#folder, "times"), TimeIndex.of(entries).format());
    await place.write(output);
    return place;
  }

  at(second: number): number {
    return this.#beginMs + 1000 * second;
  }

  async write(text: string): Promise<void> {
    await Deno.writeTextFile(join(this.#folder, "output"), text, { append: true });
  }

  read(timing: Timing, range: ReadRange = { follow: true }, signal = NEVER) {
    return new TimedReader(this.log, timing, this.clock).read(range, signal);
  }

  /** All that is read: what comes when, seconds after the beginning. */
  async all(timing: Timing, range?: ReadRange): Promise<string[]> {
    const pieces: string[] = [];
    for await (const { offset, bytes, gapBytes, timeMs = 0 } of this.read(timing, range)) {
      const text = new TextDecoder().decode(bytes);
      assert(bytes.byteOffset >= HEADROOM_BYTES);
      if (gapBytes > 0) pieces.push(`gap ${gapBytes}`);
      if (text !== "") pieces.push(`${(timeMs - this.#beginMs) / 1000}: ${text}@${offset}`);
    }
    return pieces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.log.finish();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const WRITTEN: [number, string][] = [[-9, "ab\n"], [-6, "cd\n"], [-3, "ef\n"]];

Deno.test("TimedReader: each piece has its time", async () => {
  await using place = await Place.make(WRITTEN);
  assert.deepEqual(await place.all({}), ["-9: ab\n@0", "-6: cd\n@3", "-3: ef\n@6"]);
  assert.deepEqual(await place.all({}, { follow: false, offset: 4 }), ["-6: d\n@4", "-3: ef\n@6"]);
});

Deno.test("TimedReader: since and until choose the bytes, with tails too", async () => {
  await using place = await Place.make(WRITTEN);
  const all = (from: number | undefined, to?: number, range?: ReadRange) =>
    place.all({
      ...(from !== undefined && { sinceMs: place.at(from) }),
      ...(to !== undefined && { untilMs: place.at(to) }),
    }, range);
  assert.deepEqual(await all(-7), ["-6: cd\n@3", "-3: ef\n@6"]);
  assert.deepEqual(await all(-6, -4), ["-6: cd\n@3"]);
  assert.deepEqual(await all(undefined, -6), ["-9: ab\n@0", "-6: cd\n@3"]);
  assert.deepEqual(await all(-2), []);
  assert.deepEqual(await all(undefined, -10), []);
  assert.deepEqual(await all(-2, -5), []);
  assert.deepEqual(
    await all(-100),
    await all(undefined),
    "before the first entry is the beginning",
  );
  assert.deepEqual(await all(undefined, -4, { follow: true, tailLines: 1 }), ["-6: cd\n@3"]);
  assert.deepEqual(await all(-7, undefined, { follow: false, tailLines: 9 }), [
    ...["-6: cd\n@3", "-3: ef\n@6"],
  ]);
  assert.deepEqual(await all(-7, -5, { follow: false, tailBytes: 2 }), ["-6: d\n@4"]);
});

Deno.test("TimedReader: since a time that reaches into what is rotated away, what is missing is told", async () => {
  await using place = await Place.make(WRITTEN, { firstOffset: 4 });
  assert.deepEqual(await place.all({ sinceMs: place.at(-7) }), [
    ...["gap 1", "-6: d\n@4", "-3: ef\n@6"],
  ]);
  assert.deepEqual(await place.all({ sinceMs: place.at(-5) }), ["-3: ef\n@6"]);
});

Deno.test("TimedReader: a quiet job's stream ends at its time, and what comes then is not in it", async () => {
  await using place = await Place.make(WRITTEN, { finished: false });
  const reading = place.all({ untilMs: place.at(2) });
  assert(!await isSettled(reading));
  place.clock.advance(1999);
  assert(!await isSettled(reading));
  place.clock.advance(2);
  assert.equal((await inTime("the end of the stream", reading)).length, 3);
});

Deno.test("TimedReader: what was read at the last moment, and is told later, is not in it", async () => {
  await using place = await Place.make(WRITTEN, { finished: false });
  const late = async function* () {
    await place.write("gh\n");
    place.clock.advance(3000);
    yield { offset: 9, bytes: new TextEncoder().encode("gh\n"), gapBytes: 0 };
  };
  const { look, times } = place.log;
  const output = { look: look.bind(place.log), times, read: late };
  const reader = new TimedReader(output, { untilMs: place.at(2) }, place.clock);
  const { done } = await reader.read({ follow: true, offset: 9 }, NEVER).next();
  assert.equal(done, true);
});

Deno.test("TimedReader: what comes live has the time at which it was seen", async () => {
  await using place = await Place.make(WRITTEN, { finished: false });
  const reading = place.read({ sinceMs: place.at(-1) });
  const [head] = [(await reading.next()).value];
  assert.deepEqual([head?.offset, head?.bytes.length], [9, 0], "where it begins");
  place.clock.advance(400);
  await place.write("gh\n");
  const { value } = await inTime("the live bytes", reading.next());
  assert.deepEqual([value?.offset, value?.timeMs], [9, place.at(0.4)]);
  await reading.return(undefined);
});

Deno.test("TimedReader: since a time that comes, what is written before is left out", async () => {
  await using place = await Place.make(WRITTEN, { finished: false });
  const reading = place.read({ sinceMs: place.at(5) });
  await reading.next();
  let readBytes = 0;
  using _hook = new ReadHook({ after: (length) => readBytes += length });
  const next = reading.next();
  await place.write("too early\n");
  await until("it to be read", () => readBytes === 10);
  assert(!await isSettled(next));
  place.clock.advance(6000);
  await place.log.times.note({ bytes: 19, timeMs: place.at(4) });
  await place.write("late\n");
  const { value } = await inTime("what is late enough", next);
  assert.equal(new TextDecoder().decode(value?.bytes), "late\n");
  await reading.return(undefined);
});
