/** Figures and plots of the web page: samples come from answers alone, and gaps are gaps. */
import assert from "node:assert/strict";
import type { ReadJob } from "../../client/ui/protocol.ts";
import { UsageHistories } from "../../client/ui/page/usage_history.ts";

const BEGIN_MS = 1_800_000_000_000;

/** A running job as an answer tells of it, so many milliseconds after the first one. */
function read(
  afterMs: number,
  usage: object | null,
  { jobID = "a", exited = false, wallMs = BEGIN_MS + afterMs } = {},
): ReadJob {
  const job = { jobID, exited, usage } as ReadJob["job"];
  return { job, readAt: { steadyMs: afterMs, wallMs } };
}

/** Records answers, or failures where there is none, and returns the samples of job `a`. */
async function samplesAfter(answers: readonly (ReadJob | undefined)[]) {
  const histories = new UsageHistories();
  for (const answer of answers) await tell(histories, answer);
  return histories.samplesOf("a");
}

async function tell(histories: UsageHistories, answer: ReadJob | undefined): Promise<void> {
  const request = answer ? Promise.resolve(answer) : Promise.reject(new Error("unreachable"));
  await histories.record(request, (read) => [read]).catch(() => {});
}

const cpu = (seconds: number) => ({ cpuUsec: seconds * 1e6 });

Deno.test("UsageHistories: rates between two answers, and nothing made up", async () => {
  const samples = await samplesAfter([
    read(0, { cpuUsec: 1e6, memoryBytes: 5, readBytes: 0 }),
    read(100, cpu(9e3)), // Too early to say anything.
    read(2000, { cpuUsec: 2e6, memoryBytes: 7, readBytes: 4000 }),
    read(3000, null),
  ]);
  assert.deepEqual(samples.map((sample) => Object.values(sample)), [
    [BEGIN_MS, null, 5, null, null],
    [BEGIN_MS + 2000, 50, 7, 2000, null],
  ]);
});

Deno.test("UsageHistories: a cluster's count is one sample, however often the server tells it", async () => {
  const counted = (seconds: number, asOfMs: number) => ({ ...cpu(seconds), asOfMs });
  const samples = await samplesAfter([
    read(0, {}),
    read(1000, counted(1, 500)),
    read(2000, counted(1, 500)),
    read(3000, counted(2, 2500)),
  ]);
  assert.deepEqual(samples.map(({ cpuPercent }) => cpuPercent), [null, null, 50]);
});

Deno.test("UsageHistories: a job held at 20 % shows 20 %, however often the page draws", async () => {
  const histories = new UsageHistories();
  for (let second = 0; second < 5; second += 1) {
    await tell(histories, read(second * 1000, cpu(second / 5)));
    for (let drawing = 0; drawing < 3; drawing += 1) histories.samplesOf("a");
  }
  const shown = histories.samplesOf("a").map(({ cpuPercent }) => cpuPercent);
  assert.deepEqual(shown, [null, 20, 20, 20, 20]);
  assert.equal(histories.samplesOf("a"), histories.samplesOf("a"), "plots are made anew");
});

Deno.test("UsageHistories: a server that is down leaves a gap, not 0", async () => {
  const down = undefined;
  const samples = await samplesAfter([
    read(0, { ...cpu(1), memoryBytes: 5 }),
    read(1000, { ...cpu(2), memoryBytes: 5 }),
    down,
    down,
    read(9000, { ...cpu(2.1), memoryBytes: 6 }),
    read(10_000, { ...cpu(2.6), memoryBytes: 6 }),
  ]);
  assert.deepEqual(samples.map(({ cpuPercent }) => cpuPercent), [null, 100, null, null, 50]);
  assert.deepEqual(samples.map(({ memoryBytes }) => memoryBytes), [5, 5, null, 6, 6]);
  const times = samples.map(({ atMs }) => atMs);
  assert.deepEqual(times, times.toSorted((one, other) => one - other));
});

Deno.test("UsageHistories: a hidden tab, a machine that slept and a counter that began anew are gaps", async () => {
  const first = read(0, cpu(1));
  const hidden = await samplesAfter([first, read(61_000, cpu(2))]);
  assert.deepEqual(hidden.map(({ cpuPercent }) => cpuPercent), [null, null, null]);
  const slept = await samplesAfter([first, read(1000, cpu(900), { wallMs: BEGIN_MS + 3_600_000 })]);
  assert.deepEqual(slept.map(({ cpuPercent }) => cpuPercent), [null, null, null]);
  const anew = await samplesAfter([first, read(1000, cpu(0.1)), read(2000, cpu(0.3))]);
  assert.deepEqual(anew.map(({ cpuPercent }) => Math.round(cpuPercent ?? -1)), [-1, -1, 20]);
  const setBack = await samplesAfter([first, read(1000, cpu(2), { wallMs: BEGIN_MS - 60_000 })]);
  assert.deepEqual(setBack.map(({ atMs }) => atMs), [BEGIN_MS - 60_000]);
});

Deno.test("UsageHistories: holds ten minutes of 300 jobs, and nothing of jobs that have ended", async () => {
  const histories = new UsageHistories();
  for (let second = 0; second < 700; second += 1) {
    await tell(histories, read(second * 1000, cpu(second)));
  }
  assert.equal(histories.samplesOf("a").length, 600);
  await tell(histories, read(0, cpu(0), { jobID: "ended", exited: true }));
  assert.equal(histories.samplesOf("ended").length, 0);
  for (let index = 0; index < 300; index += 1) {
    await tell(histories, read(0, cpu(0), { jobID: `${index}` }));
  }
  assert.equal(histories.samplesOf("a").length, 0);
  assert.equal(histories.samplesOf("299").length, 1);
});
