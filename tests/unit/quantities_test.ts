import { strict as assert } from "node:assert";
import {
  binaryBytesOf,
  countWithin,
  parseBytes,
  parseCount,
  parseDurationMs,
} from "../../common/quantities.ts";
import { DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS, TIB } from "../../common/units.ts";
import { binaryBytes, describeDuration } from "../../client/screen/quantities.ts";

Deno.test("units: as POSIX and IEC define them", () => {
  assert.deepEqual([SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS], [
    1_000,
    60_000,
    3_600_000,
    86_400_000,
  ]);
  assert.deepEqual([KIB, MIB, GIB, TIB], [2 ** 10, 2 ** 20, 2 ** 30, 2 ** 40]);
});

Deno.test("parseDurationMs: each unit, fractions, and seconds without a unit", () => {
  const cases: readonly (readonly [text: string, durationMs: number])[] = [
    ["500ms", 500],
    ["10s", 10_000],
    ["10", 10_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["7d", 604_800_000],
    ["1.5h", 5_400_000],
    ["0.0004s", 0],
    ["0", 0],
  ];
  for (const [text, durationMs] of cases) assert.equal(parseDurationMs(text), durationMs, text);
});

for (
  const text of [
    ...["", "s", "ms", "-1s", "+1s", "1 s", " 1s", "1s ", "1S", "1M", "1w", "1y", "1e3", "0x10"],
    ...[
      "1.s",
      ".5s",
      "1,5s",
      "1h30m",
      "1ss",
      "NaN",
      "Infinity",
      "9".repeat(20),
      "1d\n",
      "constructor",
    ],
  ]
) {
  Deno.test(`parseDurationMs: ${JSON.stringify(text)} is not a duration`, () => {
    assert.throws(() => parseDurationMs(text), /^RangeError: Expected a duration such as 500ms, /);
  });
}

Deno.test("parseCount: whole numbers up to 2^53 - 1", () => {
  assert.equal(parseCount("0"), 0);
  assert.equal(parseCount("007"), 7);
  assert.equal(parseCount("9007199254740991"), Number.MAX_SAFE_INTEGER);
});

for (const text of ["", "-1", "1.0", "1e3", " 1", "1 ", "0x1", "9007199254740992", "1K", "١"]) {
  Deno.test(`parseCount: ${JSON.stringify(text)} is not a count`, () => {
    assert.throws(() => parseCount(text), /^RangeError: Expected a whole number, 0 or more\.$/);
  });
}

Deno.test("countWithin: includes both bounds and nothing beyond them", () => {
  assert.deepEqual(["2", "3", "5", "6"].map((text) => countWithin(text, 3, 5)), [
    undefined,
    3,
    5,
    undefined,
  ]);
});

Deno.test("parseBytes: K, M, G and T are 1024-based, in every spelling", () => {
  const cases: readonly (readonly [text: string, bytes: number])[] = [
    ["0", 0],
    ["4096", 4096],
    ["4096B", 4096],
    ["1K", 1024],
    ["1k", 1024],
    ["64M", 67_108_864],
    ["64 MiB", 67_108_864],
    ["10G", 10_737_418_240],
    ["2T", 2_199_023_255_552],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ];
  for (const [text, bytes] of cases) assert.equal(parseBytes(text), bytes, text);
});

for (
  const text of [
    ...["", "M", "-1M", "1.5M", "12.5", "1.0", "1e3", "1MB", "1KB", "1P", "1iB", "1M/s", " 1M"],
    ...["9007199254740992", "9000T", "1M ", "1MM", "constructor"],
  ]
) {
  Deno.test(`parseBytes: ${JSON.stringify(text)} is not a number of bytes`, () => {
    assert.throws(() => parseBytes(text), /^RangeError: Expected bytes such as 64M or 10G\.$/);
  });
}

Deno.test("binaryBytesOf: keeps fractions, for the caller to round", () => {
  assert.equal(binaryBytesOf("1.5K"), 1536);
  assert.equal(binaryBytesOf("0.1"), 0.1);
  assert.equal(binaryBytesOf("x"), undefined);
});

Deno.test("binaryBytes: the largest unit that fits, with one digit after the point", () => {
  const cases: readonly (readonly [bytes: number, text: string])[] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [MIB - 1, "1024 KiB"],
    [256 * MIB, "256 MiB"],
    [GIB, "1 GiB"],
    [3.25 * TIB, "3.3 TiB"],
    [5000 * TIB, "5000 TiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(binaryBytes(bytes), text);
  assert.equal(binaryBytes(12.34 * MIB, { isShort: true }), "12 MiB");
  assert.equal(binaryBytes(1.25 * MIB, { isShort: true }), "1.3 MiB");
});

Deno.test("describeDuration: whole units, of the largest that fits", () => {
  const cases: readonly (readonly [durationMs: number, text: string])[] = [
    [-5, "0s"],
    [999, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [3_599_999, "59m"],
    [3_600_000, "1h"],
    [86_399_999, "23h"],
    [86_400_000, "1d"],
    [90 * DAY_MS, "90d"],
  ];
  for (const [durationMs, text] of cases) assert.equal(describeDuration(durationMs), text);
});
