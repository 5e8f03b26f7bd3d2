/** The index of times: what is looked up, and what is kept on disk. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { OutputTimes } from "../../lib/logs/output_times.ts";
import { ENTRY_BYTES, nextEntry, type TimeEntry, TimeIndex } from "../../lib/logs/time_index.ts";
import { CapturedLog } from "../support/captured_log.ts";

const ENTRIES: TimeEntry[] = [
  { bytes: 10, timeMs: 1000 },
  { bytes: 20, timeMs: 2000 },
  { bytes: 30, timeMs: 2000 },
  { bytes: 40, timeMs: 5000 },
];

const entriesOf = (index: TimeIndex): TimeEntry[] => {
  const found: TimeEntry[] = [];
  for (let entry = index.entryOf(0); entry; entry = index.entryOf(entry.bytes)) found.push(entry);
  return found;
};

Deno.test("TimeIndex: a byte's time is that of the first entry which has it", () => {
  const index = TimeIndex.of(ENTRIES);
  const times = [0, 9, 10, 19, 20, 39, 40].map((offset) => index.entryOf(offset)?.timeMs);
  assert.deepEqual(times, [1000, 1000, 2000, 2000, 2000, 5000, undefined]);
  assert.equal(TimeIndex.of([]).entryOf(0), undefined);
});

Deno.test("TimeIndex: since and until meet without a byte between them, and none in both", () => {
  const index = TimeIndex.of(ENTRIES);
  for (const timeMs of [0, 999, 1000, 1001, 1999, 2000, 2001, 4999, 5000, 5001]) {
    assert.equal(index.offsetUntil(timeMs), index.offsetSince(timeMs + 1), `${timeMs}`);
  }
  assert.deepEqual([0, 1000, 1001, 2000, 2001, 5001].map((ms) => index.offsetSince(ms)), [
    ...[0, 0, 10, 10, 30, 40],
  ]);
  const empty = TimeIndex.of([]);
  assert.deepEqual([empty.offsetSince(5), empty.offsetUntil(5)], [0, 0]);
});

Deno.test("TimeIndex: it is on disk as it was; half of an entry and one out of order are none", () => {
  const index = TimeIndex.of(ENTRIES);
  assert.deepEqual(entriesOf(TimeIndex.parse(index.format())), ENTRIES);
  assert.equal(TimeIndex.parse(index.format().subarray(0, -1)).count, 3);
  const damaged = TimeIndex.of([
    ENTRIES[1] as TimeEntry,
    ENTRIES[0] as TimeEntry,
    { bytes: NaN, timeMs: 2000 },
    { bytes: 25, timeMs: 1 },
    { bytes: 2 ** 60, timeMs: 2000 },
    ENTRIES[3] as TimeEntry,
  ]);
  assert.deepEqual(entriesOf(TimeIndex.parse(damaged.format())), [ENTRIES[1], ENTRIES[3]]);
});

Deno.test("TimeIndex: thinned it keeps the last entry, and every byte has a time that is not earlier", () => {
  for (const count of [1, 2, 3, 4]) {
    const index = TimeIndex.of(ENTRIES.slice(0, count));
    const thin = index.thinned();
    assert.equal(thin.count, Math.ceil(count / 2));
    assert.deepEqual(thin.last, index.last);
    for (let offset = 0; offset < 10 * count; offset++) {
      const [before = NaN, after = NaN] = [index, thin].map((one) => one.entryOf(offset)?.timeMs);
      assert(after >= before, `byte ${offset} of ${count} entries`);
    }
  }
});

Deno.test("TimeIndex: without its head it still knows when the kept part began", () => {
  const index = TimeIndex.of(ENTRIES);
  const left = [0, 9, 10, 25, 39, 40, 99].map((first) => index.withoutHead(first));
  assert.deepEqual(left.map(({ count }) => count), [4, 4, 4, 3, 2, 1, 1]);
  assert.equal(index.withoutHead(25).offsetSince(2001), 30);
  assert.equal(index.withoutHead(25).entryOf(25)?.timeMs, 2000);
});

Deno.test("nextEntry: only growth makes one, and its time is between the last one's and now", () => {
  const last = { bytes: 10, timeMs: 1000 };
  assert.equal(nextEntry(last, { bytes: 10, timeMs: 3000 }, 4000), undefined);
  assert.equal(nextEntry(undefined, { bytes: 0, timeMs: 3000 }, 4000), undefined);
  const at = (timeMs: number, nowMs: number) =>
    nextEntry(last, { bytes: 11, timeMs }, nowMs)?.timeMs;
  assert.equal(at(3000, 4000), 3000, "when the file was written last");
  assert.equal(at(9000, 4000), 4000, "a file from the future");
  assert.equal(at(500, 4000), 1000, "the clock was set back");
  assert.equal(at(500, 600), 1000, "the clock was set back, and is still behind");
});

class Place implements AsyncDisposable {
  readonly #folder: string;
  nowMs = 1_000_000;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<Place> {
    return new Place(await Deno.makeTempDir({ prefix: "job-worker-times-" }));
  }

  get path(): string {
    return join(this.#folder, "times");
  }

  /** The times as a server that begins now has them. */
  open(maxEntries = 8): OutputTimes {
    return new OutputTimes(this.path, { nowMs: () => this.nowMs, maxEntries });
  }

  async entries(): Promise<TimeEntry[]> {
    return entriesOf(TimeIndex.parse(await Deno.readFile(this.path)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

Deno.test("OutputTimes: the next server goes on behind the last entry, and behind half of one", async () => {
  await using place = await Place.make();
  await place.open().note({ bytes: 10, timeMs: 1000 });
  await Deno.writeFile(place.path, new Uint8Array(ENTRY_BYTES - 1), { append: true });
  const times = place.open();
  await times.note({ bytes: 10, timeMs: 3000 });
  await times.note({ bytes: 20, timeMs: 3000 });
  assert.deepEqual(await place.entries(), [
    { bytes: 10, timeMs: 1000 },
    { bytes: 20, timeMs: 3000 },
  ]);
  assert.equal((await Deno.stat(place.path)).size, 2 * ENTRY_BYTES);
});

Deno.test("OutputTimes: a long list is thinned, and stays within its bound", async () => {
  await using place = await Place.make();
  const times = place.open();
  for (let count = 1; count <= 100; count++) await times.note({ bytes: count, timeMs: 10 * count });
  const entries = await place.entries();
  assert(entries.length <= 8 && entries.length >= 4, `${entries.length}`);
  assert.deepEqual(entries.at(-1), { bytes: 100, timeMs: 1000 });
});

Deno.test("OutputTimes: notes at the same time are written one after the other", async () => {
  await using place = await Place.make();
  const times = place.open();
  const notes = [5, 9, 7, 9].map((bytes) => times.note({ bytes, timeMs: 100 * bytes }));
  await Promise.all([...notes, times.forget(6)]);
  assert.deepEqual(await place.entries(), [{ bytes: 5, timeMs: 500 }, { bytes: 9, timeMs: 900 }]);
});

Deno.test("OutputTimes: after a disk that refuses entries it goes on when that is over", async () => {
  using log = new CapturedLog();
  await using place = await Place.make();
  const times = place.open();
  await times.note({ bytes: 10, timeMs: 1000 });
  await Deno.rename(place.path, `${place.path}.aside`);
  await Deno.mkdir(place.path);
  for (const bytes of [20, 21]) {
    await times.note({ bytes, timeMs: 2000 });
    place.nowMs += 10_000;
  }
  place.nowMs -= 5000;
  assert.equal(log.messages("warn").length, 1, "told once");
  await Deno.remove(place.path);
  await Deno.rename(`${place.path}.aside`, place.path);
  await times.note({ bytes: 30, timeMs: 3000 });
  assert.equal((await place.entries()).length, 1, "not tried again at once");
  place.nowMs += 10_000;
  await times.note({ bytes: 40, timeMs: 4000 });
  assert.deepEqual((await place.entries()).map(({ bytes }) => bytes), [10, 40]);
});

Deno.test("OutputTimes.load: what no entry has is as old as the file's last change", async () => {
  await using place = await Place.make();
  const times = place.open();
  await times.note({ bytes: 10, timeMs: 1000 });
  const index = await times.load({ bytes: 15, timeMs: 7000 });
  assert.deepEqual(entriesOf(index), [{ bytes: 10, timeMs: 1000 }, { bytes: 15, timeMs: 7000 }]);
  assert.equal((await place.entries()).length, 1);
});
