import { strict as assert } from "node:assert";
import type { ActiveJob } from "../../lib/job/active_jobs.ts";
import { collectGarbage, type IsKept, watchObjects } from "../support/garbage.ts";
import { JobHost, requestOf } from "../support/job_host.ts";

/** More than any table of the last ones could hold by chance, and quick. */
const JOBS = 20;

function activeJob(host: JobHost, id: string): ActiveJob {
  const job = [...host.manager.active].find((active) => active.record.id === id);
  assert(job, "a job that runs is active");
  return job;
}

/** Starts a job, lets it end, and tells which of its objects are kept after that. */
async function ended(host: JobHost, isStopped: boolean): Promise<IsKept[]> {
  const request = requestOf({ timeoutMs: 60_000 });
  const id = await host.start(request);
  const job = activeJob(host, id);
  const kept = watchObjects([request, request.secrets.input, job, job.output]);
  const stopped = isStopped ? host.manager.stop(id, { graceMs: 5000 }) : undefined;
  await host.end(id);
  await stopped;
  return kept;
}

for (const isStopped of [false, true]) {
  const how = isStopped ? "was stopped" : "has ended by itself";
  Deno.test(`a job that ${how} leaves nothing in memory`, async () => {
    await using host = await JobHost.open();
    const kept: IsKept[] = [];
    for (let index = 0; index < JOBS; index++) kept.push(...await ended(host, isStopped));
    assert.deepEqual(host.clock.pendingMs, [], "timers of ended jobs are left");
    // One that runs is kept: the test would see it.
    const running = activeJob(host, await host.start());
    const isRunningKept = watchObjects([running]);
    // The fake executor notes what it is given.
    host.executor.submissions.length = 0;
    await collectGarbage();
    assert.equal(isRunningKept.every((isKept) => isKept()), true);
    assert.equal(kept.filter((isKept) => isKept()).length, 0, "objects of ended jobs are kept");
  });
}
