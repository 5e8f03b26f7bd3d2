/** What the page says of a job beside its state. */
import assert from "node:assert/strict";
import { noteOf, stateText, toneOf, tookText } from "../../client/ui/page/facts.ts";
import type { Job } from "../../client/ui/page/requests.ts";

const NOW_MS = 1_800_000_000_000;

const EXITED = { state: "JOB_STATE_EXITED", exited: true, exitCode: 0, startedAtMs: NOW_MS - 5000 };

const NOTES: readonly (readonly [job: object, note: unknown, state: string, tone: string])[] = [
  [
    { state: "JOB_STATE_PENDING", pendingReason: "Resources", asOfMs: NOW_MS - 2000 },
    "waiting in the queue: Resources",
    "pending",
    "waiting",
  ],
  [
    {
      state: "JOB_STATE_PENDING",
      pendingReason: "",
      estimatedStartMs: NOW_MS + 1000,
      asOfMs: NOW_MS - 60_000,
    },
    /^waiting in the queue; expected to start at .*\d\d:\d\d \(as of .*\d\d:\d\d:\d\d\)$/,
    "pending",
    "waiting",
  ],
  [
    { state: "JOB_STATE_NEVER_RAN", exited: true, exitCode: -1, reason: "cancelled by alice." },
    "never ran: cancelled by alice",
    "never-ran",
    "bad",
  ],
  [
    { state: "JOB_STATE_LOST", exited: true, exitCode: -1, reason: "the host went down" },
    "the host went down",
    "lost",
    "unknown",
  ],
  [
    { state: "JOB_STATE_STOPPING", stoppedBy: "a\u202elice", startedAtMs: NOW_MS },
    "stopped by a\\u202elice",
    "stopping",
    "running",
  ],
  [
    { ...EXITED, exitCode: 143, signal: 15, stoppedBy: "alice" },
    "stopped by alice",
    "stopped 143 (signal 15)",
    "bad",
  ],
  [
    { ...EXITED, exitCode: 137, signal: 9 },
    "ended by signal 9 (SIGKILL)",
    "137 (signal 9)",
    "bad",
  ],
  [EXITED, undefined, "exited 0", "good"],
  [{ state: "JOB_STATE_RUNNING", startedAtMs: NOW_MS }, undefined, "running", "running"],
];
for (const [facts, note, state, tone] of NOTES) {
  Deno.test(`noteOf, stateText: ${state}, ${note}`, () => {
    const job = { pendingReason: "", estimatedStartMs: 0, asOfMs: 0, ...facts } as Job;
    if (note instanceof RegExp) assert.match(noteOf(job, NOW_MS) ?? "", note);
    else assert.equal(noteOf(job, NOW_MS), note);
    assert.deepEqual([stateText(job), toneOf(job)], [state, tone]);
  });
}

Deno.test("tookText: nothing for a job that has not begun", () => {
  assert.equal(tookText({ startedAtMs: 0, endedAtMs: 0 } as Job, NOW_MS), "-");
  assert.equal(tookText({ startedAtMs: NOW_MS - 65_000, endedAtMs: 0 } as Job, NOW_MS), "1m");
});
