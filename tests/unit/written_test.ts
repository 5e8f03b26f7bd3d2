/** Numbers as users write them: exactly, and as the options read them again. */
import { strict as assert } from "node:assert";
import fc from "fast-check";
import { parseDiskIoLimit } from "../../common/limits.ts";
import { parseBytes, parseDurationMs } from "../../common/quantities.ts";
import { writtenBytes, writtenDuration, writtenRate } from "../../common/written.ts";

Deno.test("written: the largest unit of which it is a whole number", () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 2 ** 20, 3 * 2 ** 30].map(writtenBytes), [
    "0",
    "1",
    "1023",
    "1K",
    "1536",
    "1M",
    "3G",
  ]);
  assert.deepEqual([0, 1, 1500, 60_000, 90_000, 86_400_000].map(writtenDuration), [
    "0",
    "1ms",
    "1500ms",
    "1m",
    "90s",
    "1d",
  ]);
  assert.deepEqual([4096, 1000, 10_000_000, 1_500_000_000].map(writtenRate), [
    "4096B/s",
    "1KB/s",
    "10MB/s",
    "1500MB/s",
  ]);
});

Deno.test("written: what is written is read as the same", () => {
  fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
    assert.equal(parseBytes(writtenBytes(value)), value);
    assert.equal(parseDurationMs(writtenDuration(value)), value);
  }));
  fc.assert(fc.property(fc.integer({ min: 4096, max: 2 ** 40 }), (rate) => {
    assert.equal(parseDiskIoLimit(`read=${writtenRate(rate)}`).readBytesPerSecond, rate);
  }));
});
