import assert from "node:assert/strict";
import { ExpiryWarnings, formatTimeLeft, isExpirySoon } from "../../lib/tls/expiry.ts";

const DAY_MS = 86_400_000;

Deno.test("ExpiryWarnings.isDue: once at 30, 7 and 1 days and at the end, and not earlier", () => {
  const warnings = new ExpiryWarnings();
  const end = 100 * DAY_MS;
  const due = (daysLeft: number) => warnings.isDue("a", end, end - daysLeft * DAY_MS);
  const asked = [31, 30, 29, 8, 7, 6, 2, 1, 0.5, 0, -1];
  assert.deepEqual(asked.filter(due), [30, 7, 1, 0]);
  assert.equal(warnings.isDue("b", end, end), true);
  assert.equal(warnings.isDue("a", end + DAY_MS, end), true);
});

Deno.test("ExpiryWarnings.isDue: a bound that was passed between two looks gives one warning", () => {
  const warnings = new ExpiryWarnings();
  const end = 100 * DAY_MS;
  assert.equal(warnings.isDue("a", end, end - 31 * DAY_MS), false);
  assert.equal(warnings.isDue("a", end, end - 0.5 * DAY_MS), true);
  assert.equal(warnings.isDue("a", end, end - 0.5 * DAY_MS), false);
  assert.equal(warnings.isDue("a", end, end + DAY_MS), true);
});

Deno.test("formatTimeLeft: whole days, then hours", () => {
  const cases: [number, string][] = [
    [30 * DAY_MS, "expires in 30 days"],
    [2 * DAY_MS, "expires in 2 days"],
    [2 * DAY_MS - 1, "expires in 1 day"],
    [DAY_MS, "expires in 1 day"],
    [DAY_MS - 1, "expires in 24 h"],
    [1, "expires in 1 h"],
    [0, "has expired"],
    [-1, "has expired"],
  ];
  for (const [leftMs, text] of cases) assert.equal(formatTimeLeft(leftMs), text);
});

Deno.test("isExpirySoon: from 30 days on", () => {
  assert.equal(isExpirySoon(30 * DAY_MS + 1), false);
  assert.equal(isExpirySoon(30 * DAY_MS), true);
  assert.equal(isExpirySoon(Infinity), false);
});
