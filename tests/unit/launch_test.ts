import { strict as assert } from "node:assert";
import { parseLaunchRecord } from "../../lib/executor/launch_record.ts";
import { parseLaunchReport } from "../../lib/executor/launch_report.ts";
import { NO_SPACE } from "../../lib/errors.ts";

const BOOT = "9832c91b-1028-4bb3-bf34-8aefaa8b0122";
const BEGUN = `launcher 5498 270688 ${BOOT}\njob 5499\n`;

/** The launcher writes in place, into a file of blanks. */
function inPlace(text: string): string {
  return text + " ".repeat(4096 - text.length);
}

Deno.test("parseLaunchRecord: a file of blanks, an empty one and junk are a launch record that is not begun", () => {
  for (const text of ["", " ".repeat(4096), "withdrawn\n", "launcher x y z\n", "\0\0\0"]) {
    assert.deepEqual(parseLaunchRecord(text), {}, JSON.stringify(text.slice(0, 20)));
  }
});

Deno.test("parseLaunchRecord: a line that is half written counts as not written", () => {
  assert.deepEqual(parseLaunchRecord(inPlace(`launcher 5498 270688 ${BOOT.slice(0, 8)}`)), {});
  const { launcher, job } = parseLaunchRecord(inPlace(`launcher 5498 270688 ${BOOT}\njob 54`));
  assert.deepEqual(launcher, { pid: 5498, startTime: "270688", bootId: BOOT });
  assert.equal(job, undefined);
});

Deno.test("parseLaunchRecord: the end counts only with its last line", () => {
  const end =
    "Terminated\nexit 143\ncounter memory.events\noom_kill 1\ncounter pids.current\n0\nend\n";
  for (let length = 0; length < end.length; length++) {
    const { job, exit } = parseLaunchRecord(inPlace(BEGUN + end.slice(0, length)));
    assert.deepEqual(job, { pid: 5499 });
    assert.equal(exit, undefined, JSON.stringify(end.slice(0, length)));
  }
  assert.deepEqual(parseLaunchRecord(inPlace(BEGUN + end)).exit, {
    status: 143,
    bySignal: true,
    counters: new Map([["memory.events", "oom_kill 1\n"], ["pids.current", "0\n"]]),
  });
});

Deno.test("parseLaunchRecord: a signal is what the shell has said a word about", () => {
  const cases: [string, number, boolean][] = [
    ["exit 0\n", 0, false],
    ["exit 143\n", 143, false],
    ["Terminated\nexit 143\n", 143, true],
    ["Segmentation fault (core dumped)\nexit 139\n", 139, true],
    ["sh: line 130:  5499 Killed   ( for g in x; do\n  y\ndone )\nexit 137\n", 137, true],
    // A word without a status above 128 is a word about something else.
    ["something\nexit 1\n", 1, false],
  ];
  for (const [text, status, bySignal] of cases) {
    const { exit } = parseLaunchRecord(inPlace(`${BEGUN}${text}end\n`));
    assert.deepEqual([exit?.status, exit?.bySignal], [status, bySignal], text);
  }
});

Deno.test("parseLaunchRecord: lines before their time count for nothing", () => {
  for (const text of ["exit 0\nend\n", "job 1 2\nexit 0\nend\n", `x\n${BEGUN}exit 0\nend\n`]) {
    assert.deepEqual(parseLaunchRecord(inPlace(text)), {});
  }
  const { exit } = parseLaunchRecord(inPlace(`${BEGUN}end\nexit 0\n`));
  assert.equal(exit, undefined);
});

Deno.test("parseLaunchReport: started", () => {
  assert.deepEqual(parseLaunchReport("started 5499\n", "ls"), {
    kind: "started",
    pid: 5499,
  });
});

Deno.test("parseLaunchReport: each refusal says what to do, and tells no path of the host", () => {
  const cases: [string, string, RegExp][] = [
    ["not-found", "invalid", /"ls": no such program.*full path/],
    ["not-executable", "invalid", /"ls": the file is not executable/],
    ["folder", "invalid", /"ls": it is a folder/],
    ["no-space", "exhausted", new RegExp(RegExp.escape(NO_SPACE))],
    [
      "limit\nrefused /sys/fs/cgroup/memory/job-worker/x/memory.max\nrefused 5\nrefused Invalid argument",
      "precondition",
      /kernel refused memory\.max = 5: Invalid argument/,
    ],
    ["something-else", "internal", /its launcher failed/],
  ];
  for (const [text, kind, message] of cases) {
    const report = parseLaunchReport(`refused ${text}\n`, "ls");
    assert(report.kind === "refused");
    assert.equal(report.error.kind, kind);
    assert.match(report.error.message, message);
    assert(!report.error.message.includes("/sys/fs"), report.error.message);
  }
});

Deno.test("parseLaunchReport: silence and junk are the launcher's failure, never a start", () => {
  for (
    const text of ["", "\n", "started\n", "started x\n", "started 1 2\n", "start 1\n", "started 12"]
  ) {
    const report = parseLaunchReport(text, "ls");
    assert(report.kind === "refused", text);
    assert.equal(report.error.kind, "internal");
  }
});

Deno.test("parseLaunchReport: a refusal with control characters in it becomes one clean line", () => {
  const text = "refused limit\nrefused /sys/fs/x\0y\nrefused 5\u009b\nrefused \x1b[2Jno\n";
  const report = parseLaunchReport(text, "l\u0085s");
  assert(report.kind === "refused");
  assert(!/\p{Cc}/u.test(report.error.message), JSON.stringify(report.error.message));
});
