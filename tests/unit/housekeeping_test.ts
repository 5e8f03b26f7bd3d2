import { strict as assert } from "node:assert";
import { expiredJobs } from "../../lib/job/retention.ts";
import type { EndedJob } from "../../lib/store.ts";

const GENEROUS = { retainAgeMs: 1e12, retainCount: 1e6, retainBytes: 1e12, nowMs: 10_000 };

const JOBS: EndedJob[] = [1, 2, 3, 4, 5].map((number) => ({
  id: `job-${number}`,
  endedAtMs: number * 1000,
  outputBytes: 100,
}));

const TOTALS = { count: 5, outputBytes: 500 };

function expire(retention: Partial<typeof GENEROUS>): string[] {
  return expiredJobs(JOBS, TOTALS, { ...GENEROUS, ...retention }).map(({ id }) => id);
}

Deno.test("expiredJobs: within the bounds, and at them, nothing is removed", () => {
  assert.deepEqual(expire({}), []);
  assert.deepEqual(expire({ retainCount: 5, retainBytes: 500, retainAgeMs: 9000 }), []);
  assert.deepEqual(
    expiredJobs([], { count: 0, outputBytes: 0 }, { ...GENEROUS, retainCount: 0 }),
    [],
  );
});

Deno.test("expiredJobs: the oldest are removed until the bounds hold", () => {
  assert.deepEqual(expire({ retainCount: 3 }), ["job-1", "job-2"]);
  assert.deepEqual(expire({ retainBytes: 499 }), ["job-1"]);
  assert.deepEqual(expire({ retainBytes: 99 }), JOBS.map(({ id }) => id));
  assert.deepEqual(expire({ retainAgeMs: 7000 }), ["job-1", "job-2"]);
  assert.deepEqual(expire({ retainAgeMs: 8500, retainCount: 2 }), ["job-1", "job-2", "job-3"]);
});
