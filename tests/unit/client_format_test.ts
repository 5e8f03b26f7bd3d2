import assert from "node:assert/strict";
import { formatJson, formatLine, formatLong } from "../../client/screen/format.ts";
import { factsOf } from "../../client/ui/page/facts.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

const EXITED: QueryResponse__Output = {
  pid: 896581,
  exitCode: 0,
  exited: true,
  state: "JOB_STATE_EXITED",
  signal: 0,
  oomKilled: false,
  name: "ls",
  args: ["/"],
  owner: "alice",
  startedAtMs: Date.UTC(2026, 4, 4, 10),
  endedAtMs: Date.UTC(2026, 4, 4, 10) + 1500,
  limits: null,
  usage: null,
  outputBytes: 120,
  outputFirstOffset: 0,
  separateStderr: false,
  stderrBytes: 0,
  stderrFirstOffset: 0,
  reason: "",
  jobID: ID,
  title: "",
  labels: {},
  user: "root",
  workingDirectory: "/",
  timedOut: false,
  isolation: null,
  timeoutMs: 0,
  node: "",
  pendingReason: "",
  submittedAtMs: 0,
  estimatedStartMs: 0,
  engineJob: "",
  engineState: "",
  asOfMs: 0,
  partition: "",
  stoppedBy: "",
  umask: 0o022,
  stopSignal: "TERM",
  askedLimits: null,
  openFiles: 0,
  hasSecrets: false,
  queue: "",
  queuePosition: 0,
  clusterRequest: null,
  openStdin: false,
  inputBytes: 0,
};
const RUNNING: QueryResponse__Output = {
  ...EXITED,
  exited: false,
  state: "JOB_STATE_RUNNING",
  endedAtMs: 0,
};
const LOST: QueryResponse__Output = {
  ...EXITED,
  exitCode: -1,
  state: "JOB_STATE_LOST",
  reason: "the host went down",
};

Deno.test("formatLine: a job that has ended, to the letter", () => {
  assert.equal(formatLine(EXITED), "Pid: 896581 Exit code: 0 Exited: true");
});

Deno.test("formatLine: exit codes are passed on as they are", () => {
  for (const exitCode of [1, 143, 255]) {
    const line = formatLine({ ...EXITED, exitCode });
    assert.equal(line, `Pid: 896581 Exit code: ${exitCode} Exited: true`);
  }
});

Deno.test("formatLine: a running or stopping job has no exit code yet", () => {
  for (const state of ["JOB_STATE_RUNNING", "JOB_STATE_STOPPING"] as const) {
    assert.equal(formatLine({ ...RUNNING, state }), "Pid: 896581 Exit code: - Exited: false");
  }
});

Deno.test("formatLine: a lost job is never shown as a success", () => {
  assert.equal(formatLine(LOST), "Pid: 896581 Exit code: - Exited: true");
  assert.equal(formatLine({ ...LOST, exitCode: 0 }), "Pid: 896581 Exit code: - Exited: true");
});

Deno.test("formatLine: a server that knows only the contract's first fields is enough", () => {
  const state = "JOB_STATE_UNSPECIFIED";
  assert.equal(formatLine({ ...EXITED, state }), "Pid: 896581 Exit code: 0 Exited: true");
  assert.equal(formatLine({ ...RUNNING, state }), "Pid: 896581 Exit code: - Exited: false");
});

Deno.test("formatJson: one line that holds everything, with null for what is not known", () => {
  const limits = { cpuCores: 0.5, disks: [] };
  const text = formatJson({ ...RUNNING, args: ["a\nb"], limits }, ID);
  assert(!text.includes("\n"));
  assert.deepEqual(JSON.parse(text), {
    jobID: ID,
    pid: 896581,
    exitCode: null,
    exited: false,
    state: "running",
    ending: null,
    endingText: null,
    stoppedBy: null,
    signal: null,
    oomKilled: false,
    name: null,
    program: "ls",
    args: ["a\nb"],
    owner: "alice",
    startedAtMs: Date.UTC(2026, 4, 4, 10),
    endedAtMs: null,
    limits: { cpuCores: 0.5 },
    usage: null,
    outputBytes: 120,
    outputFirstOffset: 0,
    separateStderr: false,
    stderrBytes: null,
    stderrFirstOffset: null,
    reason: null,
    title: null,
    labels: {},
    user: "root",
    workingDirectory: "/",
    timeoutMs: null,
    timedOut: false,
    isolation: null,
    askedLimits: null,
    umask: 0o022,
    openFiles: null,
    nice: null,
    stopSignal: "TERM",
    gracePeriodMs: null,
    hasSecrets: false,
    queue: null,
    queuePosition: null,
    account: null,
    qos: null,
    cpus: null,
    gpus: null,
    constraint: null,
    openStdin: false,
    inputBytes: 0,
    startedAt: "2026-05-04T10:00:00.000Z",
    endedAt: null,
    node: null,
    partition: null,
    pendingReason: null,
    submittedAtMs: null,
    submittedAt: null,
    estimatedStartMs: null,
    estimatedStart: null,
    engineJob: null,
    engineState: null,
    asOfMs: null,
    asOf: null,
  });
});

Deno.test("formatJson: of a job that has ended, the engine is not said to run it still", () => {
  const stateIn = (job: QueryResponse__Output, engineState: string) =>
    JSON.parse(formatJson({ ...job, engineState }, ID)).engineState;
  assert.equal(stateIn(EXITED, "RUNNING"), null);
  assert.equal(stateIn(EXITED, "FAILED"), "FAILED");
  assert.equal(stateIn(RUNNING, "RUNNING"), "RUNNING");
});

Deno.test("formatJson: a lost job has a reason and no exit code", () => {
  const { exitCode, exited, state, reason } = JSON.parse(formatJson(LOST, ID));
  assert.deepEqual([exitCode, exited, state, reason], [null, true, "lost", "the host went down"]);
});

Deno.test("formatLong: says what is known, and nothing of what is not", () => {
  assert.equal(
    formatLong(EXITED, ID),
    [
      `Job ID:      ${ID}`,
      "Command:     ls /",
      "Directory:   /",
      "User:        root",
      "State:       exited",
      "Pid:         896581",
      "Exit code:   0",
      "Owner:       alice",
      "Started:     2026-05-04T10:00:00.000Z",
      "Ended:       2026-05-04T10:00:01.500Z (after 1.5 s)",
      "Output:      120 bytes",
    ].join("\n"),
  );
});

Deno.test("formatLong: signal, memory, limits and rotation are said", () => {
  const text = formatLong({
    ...EXITED,
    exitCode: 137,
    signal: 9,
    oomKilled: true,
    outputFirstOffset: 100,
    limits: { cpuCores: 0.5, memoryBytes: 256 * 1024 ** 2, readBytesPerSecond: 1536, disks: [] },
    usage: { cpuUsec: 1_250_000, memoryPeakBytes: 1024 ** 3, processes: 0 },
  }, ID);
  assert.match(text, /^Exit code: {3}137 \(signal 9, out of memory\)$/m);
  assert.match(text, /^Output: {6}120 bytes \(the first 100 rotated away\)$/m);
  assert.match(text, /^CPU: {9}limit 0\.5 cores, used 1\.3 s$/m);
  assert.match(text, /^Memory: {6}limit 256 MiB, peak 1 GiB$/m);
  assert.match(text, /^Disk read: {3}limit 1\.5 KiB\/s$/m);
  assert.match(text, /^Processes: {3}now 0$/m);
  assert.doesNotMatch(text, /Disk write/);
});

Deno.test("formatLong: words are quoted as a shell would take them, without escape sequences", () => {
  const command = (...args: string[]) =>
    /^Command: +(.*)$/m.exec(formatLong({ ...EXITED, name: "x", args }, ID))?.[1];
  assert.equal(command("--a=b", "c d", "", "it's"), `x --a=b 'c d' '' 'it'\\''s'`);
  assert.equal(command("a\nb\x1b[31m\\'"), "x $'a\\nb\\u001b[31m\\\\\\''");
  assert.equal(command("$(rm)", "日本"), "x '$(rm)' '日本'");
});

/** A text that would turn the writing, clear the screen and add a line. */
const HOSTILE = "x\u202ey\x1b[2J\nState: exited";

Deno.test("formatLong, factsOf: text of others is printable, and adds no line", () => {
  const job = { ...EXITED, owner: HOSTILE, labels: { team: HOSTILE }, reason: HOSTILE };
  const long = formatLong(job, ID);
  assert.doesNotMatch(long, /[^\x20-\x7e\n]/);
  assert.equal(long.match(/^State:/gm)?.length, 1);
  assert.match(long, /^Labels: +team=x\\u202ey \[2J State: exited$/m);
  for (const [name, text] of factsOf(job, EXITED.endedAtMs)) {
    assert.doesNotMatch(text, /[\p{Cc}\p{Cf}]/u, name);
  }
});

Deno.test("formatJson: text of others is printable, and exact when it is read", () => {
  const job = { ...EXITED, owner: HOSTILE, labels: { team: HOSTILE } };
  const json = formatJson(job, ID);
  assert.doesNotMatch(json, /[^\x20-\x7e]/);
  const { owner, labels } = JSON.parse(json);
  assert.deepEqual([owner, labels], [HOSTILE, { team: HOSTILE }]);
});
