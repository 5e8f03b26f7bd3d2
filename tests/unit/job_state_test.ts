import { strict as assert } from "node:assert";
import {
  hasEnded,
  type JobState,
  recordedUsage,
  requireTransition,
} from "../../lib/model/record.ts";

const begun = { pid: 1, startedAtMs: 1 };

const STATES: Record<JobState["kind"], JobState> = {
  starting: { kind: "starting" },
  pending: { kind: "pending" },
  running: { kind: "running", ...begun },
  stopping: { kind: "stopping", ...begun, killAtMs: 2 },
  exited: {
    kind: "exited",
    ...begun,
    exitCode: 0,
    signal: 0,
    oomKilled: false,
    usage: { cpuUsec: 5 },
    endedAtMs: 3,
  },
  lost: { kind: "lost", ...begun, reason: "the host went down", endedAtMs: 3 },
  "never-ran": { kind: "never-ran", reason: "it was stopped", endedAtMs: 3 },
};

const ALLOWED = new Set([
  "starting running",
  "starting pending",
  "starting exited",
  "starting lost",
  "starting never-ran",
  "pending pending",
  "pending running",
  "pending stopping",
  "pending exited",
  "pending lost",
  "pending never-ran",
  "running running",
  "running stopping",
  "running exited",
  "running lost",
  "stopping stopping",
  "stopping exited",
  "stopping lost",
  "stopping never-ran",
]);

Deno.test("requireTransition: the whole table", () => {
  for (const from of Object.values(STATES)) {
    for (const to of Object.values(STATES)) {
      const change = `${from.kind} ${to.kind}`;
      if (ALLOWED.has(change)) requireTransition(from, to);
      else assert.throws(() => requireTransition(from, to), /cannot go from/, change);
    }
  }
});

Deno.test("hasEnded: exited, lost and never-ran, and nothing else", () => {
  const ended = Object.values(STATES).filter(hasEnded).map(({ kind }) => kind);
  assert.deepEqual(ended, ["exited", "lost", "never-ran"]);
});

Deno.test("recordedUsage: only a job that exited has one on record", () => {
  for (const state of Object.values(STATES)) {
    assert.deepEqual(recordedUsage(state), state.kind === "exited" ? { cpuUsec: 5 } : {});
  }
});
