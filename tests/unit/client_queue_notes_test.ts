/** What is said of jobs in a cluster's queue. The server is a fake: no cluster is needed for the client. */
import { strict as assert } from "node:assert";
import { Session } from "../../client/connection/session.ts";
import { ClientError, ConnectionLostError } from "../../client/errors.ts";
import { ExitStatus } from "../../client/exit_status.ts";
import { describeNeverRan, describeQueued } from "../../client/jobs/queued.ts";
import { QueueNotes } from "../../client/jobs/queue_notes.ts";
import { formatLong } from "../../client/screen/format.ts";
import { formatTable } from "../../client/screen/table.ts";
import { usageCells } from "../../client/screen/usage_table.ts";
import { View } from "../../client/verbs/top_view.ts";
import { NoExitCodeError, waitForExit } from "../../client/verbs/wait.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import { ENDPOINT, FakeConnection } from "../support/fake_connection.ts";
import { FakeTime } from "../support/fake_time.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

/** 10:00 of an ordinary day, in the time zone of this process. */
const NOW_MS = new Date(2026, 4, 4, 10).getTime();

const PENDING = {
  jobID: ID,
  pid: 0,
  exitCode: 0,
  exited: false,
  state: "JOB_STATE_PENDING",
  name: "ls",
  clusterRequest: null,
  args: [],
  labels: {},
  title: "",
  user: "",
  owner: "alice",
  reason: "",
  node: "",
  partition: "main",
  pendingReason: "Resources",
  submittedAtMs: NOW_MS,
  estimatedStartMs: 0,
  engineJob: "42",
  engineState: "PENDING",
  asOfMs: 0,
  startedAtMs: 0,
  endedAtMs: 0,
  outputBytes: 0,
  limits: null,
  usage: null,
} as unknown as QueryResponse__Output;

const RUNNING: QueryResponse__Output = {
  ...PENDING,
  pid: 7,
  state: "JOB_STATE_RUNNING",
  pendingReason: "",
  node: "n1",
  startedAtMs: NOW_MS,
};

const NEVER_RAN: QueryResponse__Output = {
  ...PENDING,
  exited: true,
  exitCode: -1,
  state: "JOB_STATE_NEVER_RAN",
  pendingReason: "",
  reason: "there is no program nosuch.",
  endedAtMs: NOW_MS + 5_000,
};

Deno.test("describeQueued: reason and estimate, each where it is known and still to come", () => {
  const texts = [
    {},
    { pendingReason: "" },
    { estimatedStartMs: NOW_MS + 3_600_000 },
    { estimatedStartMs: NOW_MS + 86_400_000 },
    { estimatedStartMs: NOW_MS - 1 },
  ].map((fields) => describeQueued({ ...PENDING, ...fields }, NOW_MS).text);
  assert.deepEqual(texts, [
    "waiting in the queue: Resources",
    "waiting in the queue",
    "waiting in the queue: Resources; expected to start at 11:00",
    "waiting in the queue: Resources; expected to start at 2026-05-05 10:00",
    "waiting in the queue: Resources",
  ]);
});

Deno.test("describeQueued: what a job waits for on a host is said by its server", () => {
  const pendingReason = "its turn in queue builds: 3rd of 7";
  assert.deepEqual(describeQueued({ ...PENDING, engineJob: "", pendingReason }, NOW_MS), {
    text: "waiting for its turn in queue builds: 3rd of 7",
    asOf: "",
  });
});

Deno.test("describeQueued: what the engine said long ago is shown with the time", () => {
  const ages = [0, 1_000, 10_000, 11_000].map((ageMs) =>
    describeQueued({ ...PENDING, asOfMs: NOW_MS - ageMs }, NOW_MS).asOf
  );
  assert.deepEqual(ages, ["", "", "", " (as of 09:59:49)"]);
  assert.equal(describeQueued({ ...PENDING, asOfMs: 0 }, NOW_MS).asOf, "", "never heard of");
});

Deno.test("describeNeverRan: the reason, as part of a sentence", () => {
  assert.equal(describeNeverRan(NEVER_RAN), "never ran: there is no program nosuch");
  assert.equal(describeNeverRan({ reason: "" }), "never ran: the reason is not known");
});

/** Watches jobs whose Query is answered so; gives the notes and the number of queries. */
class Watched implements Disposable {
  readonly time = new FakeTime();
  readonly terminal = new FakeTerminal();
  readonly notes: QueueNotes;
  answer: QueryResponse__Output | Error = PENDING;
  readonly connection = new FakeConnection(() => {
    if (this.answer instanceof Error) throw this.answer;
    return this.answer;
  });
  readonly session = new Session(ENDPOINT, {
    open: () => Promise.resolve(this.connection.asConnection),
  });

  constructor(
    { isAttended = true, isQuiet = false, names = [undefined] as (string | undefined)[] },
  ) {
    this.terminal.isAttended = isAttended;
    this.notes = new QueueNotes(this.terminal, { isQuiet });
    for (const name of names) this.notes.add({ session: this.session, jobID: ID, name });
  }

  /** The notes of the next seconds, with this answer. */
  async next(answer: QueryResponse__Output | Error, durationMs = 5_000): Promise<string[]> {
    this.answer = answer;
    this.terminal.notes.length = 0;
    await this.time.advance(durationMs);
    return [...this.terminal.notes];
  }

  [Symbol.dispose](): void {
    this.notes[Symbol.dispose]();
    this.time[Symbol.dispose]();
  }
}

Deno.test("QueueNotes: a note when a job waits, at each change, and when it runs", async () => {
  using watched = new Watched({});
  assert.deepEqual(await watched.next(PENDING, 1_900), [], "most starts are through by then");
  assert.deepEqual(await watched.next(PENDING), ["waiting in the queue: Resources"]);
  assert.deepEqual(await watched.next(PENDING, 60_000), [], "nothing has changed");
  assert.deepEqual(await watched.next({ ...PENDING, pendingReason: "Priority" }), [
    "waiting in the queue: Priority",
  ]);
  assert.deepEqual(await watched.next(RUNNING), ["running on n1"]);
  const count = watched.connection.calls.length;
  assert.deepEqual(await watched.next(PENDING, 60_000), []);
  assert.equal(watched.connection.calls.length, count, "no job comes back to the queue");
});

Deno.test("QueueNotes: an engine that is silent is one note, and not one at each look", async () => {
  using watched = new Watched({});
  const silent = (ageMs: number) => ({ ...PENDING, asOfMs: Date.now() - ageMs });
  await watched.next(silent(0), 2_100);
  const [note, ...more] = await watched.next(silent(20_000));
  assert.match(note ?? "", /^waiting in the queue: Resources \(as of .*\d\d:\d\d:\d\d\)$/);
  assert.deepEqual(more, []);
  assert.deepEqual(await watched.next(silent(30_000)), []);
  assert.deepEqual(await watched.next(silent(0)), ["waiting in the queue: Resources"]);
});

Deno.test("QueueNotes: a job that runs already costs one query, and no note", async () => {
  using watched = new Watched({});
  assert.deepEqual(await watched.next(RUNNING, 60_000), []);
  assert.deepEqual(watched.connection.calls, ["Query"]);
});

Deno.test("QueueNotes: a server that cannot be asked changes nothing", async () => {
  using watched = new Watched({});
  await watched.next(PENDING);
  assert.deepEqual(await watched.next(new ConnectionLostError("gone"), 20_000), []);
  assert.deepEqual(await watched.next(PENDING), []);
  assert.deepEqual(await watched.next(RUNNING), ["running on n1"]);
});

Deno.test("QueueNotes: an end is left to whoever waits for it", async () => {
  using watched = new Watched({});
  await watched.next(PENDING);
  assert.deepEqual(await watched.next(NEVER_RAN), []);
});

for (const options of [{ isAttended: false }, { isQuiet: true }]) {
  Deno.test(`QueueNotes: with ${JSON.stringify(options)} nothing is asked or noted`, async () => {
    using watched = new Watched(options);
    assert.deepEqual(await watched.next(PENDING, 60_000), []);
    assert.deepEqual(watched.connection.calls, []);
  });
}

Deno.test("QueueNotes: several jobs are named, and more than three are counted", async () => {
  {
    using watched = new Watched({ names: ["a", "b"] });
    assert.deepEqual(await watched.next(PENDING), [
      "job a is waiting in the queue: Resources",
      "job b is waiting in the queue: Resources",
    ]);
    assert.deepEqual(await watched.next(RUNNING), [
      "job a is running on n1",
      "job b is running on n1",
    ]);
  }
  using watched = new Watched({ names: ["a", "b", "c", "d"] });
  assert.deepEqual(await watched.next(PENDING, 20_000), [
    "4 jobs are waiting in the queue: Resources (4)",
  ]);
  assert.deepEqual(await watched.next(RUNNING), []);
});

Deno.test("QueueNotes: after the wait nothing more is asked", async () => {
  using watched = new Watched({});
  await watched.next(PENDING);
  watched.notes[Symbol.dispose]();
  await watched.time.settle();
  assert.equal(watched.time.pendingCount, 0);
});

Deno.test("waitForExit: a job that never ran is a failure of its own, with the reason", async () => {
  const connection = new FakeConnection(() => ({ ...NEVER_RAN, exitCode: 0 }));
  const open = () => Promise.resolve(connection.asConnection);
  const context = { session: new Session(ENDPOINT, { open }), terminal: new FakeTerminal() };
  await assert.rejects(waitForExit(context, ID, { retryForMs: 0 }), (error) => {
    assert(error instanceof NoExitCodeError && error instanceof ClientError);
    assert.equal(error.exitStatus, ExitStatus.ownFailure);
    assert.equal(error.message, `Job ${ID} never ran: there is no program nosuch.`);
    return true;
  });
});

const WIDE = { columns: undefined, isUnicode: true };

Deno.test("formatTable: jobs of a cluster have a column for the node, or what they wait for", async () => {
  const table = await formatTable(
    [PENDING, RUNNING, NEVER_RAN].map((job) => ({ job, context: undefined })),
    { surface: WIDE, nowMs: NOW_MS + 60_000, withContext: false },
  );
  assert.deepEqual(table.trimEnd().split("\n").map((line) => line.split(/ {2,}/)), [
    ["ID", "NAME", "STATE", "NODE", "EXIT", "USER", "OWNER", "STARTED", "TOOK", "COMMAND"],
    ["a3c1e8b4", "-", "pending", "(Resources)", "-", "-", "alice", "-", "-", "ls"],
    ["a3c1e8b4", "-", "running", "n1", "-", "-", "alice", "1m ago", "1m", "ls"],
    ["a3c1e8b4", "-", "never-ran", "-", "-", "-", "alice", "-", "-", "ls"],
  ]);
});

Deno.test("formatTable: without a cluster there is no column for it", async () => {
  const job = { ...RUNNING, node: "" };
  const options = { surface: WIDE, nowMs: NOW_MS, withContext: false };
  assert.doesNotMatch(await formatTable([{ job, context: undefined }], options), /NODE/);
});

Deno.test("formatTable: on a host the column says what jobs wait for", async () => {
  const pendingReason = "its turn in queue builds: 3rd of 7";
  const ofHost = { engineJob: "", node: "", partition: "" };
  const jobs = [{ ...PENDING, ...ofHost, pendingReason }, { ...RUNNING, ...ofHost }];
  const table = await formatTable(
    jobs.map((job) => ({ job, context: undefined })),
    { surface: WIDE, nowMs: NOW_MS, withContext: false },
  );
  const [head = [], waiting = [], running = []] = table.split("\n").map((line) =>
    line.split(/ {2,}/)
  );
  assert.deepEqual([head[3], waiting[3], running[3]], ["WAITS FOR", `(${pendingReason})`, "-"]);
});

Deno.test("usageCells: a pending job uses nothing, and is not taken for one that hangs", () => {
  const rates = { cpuPercent: null, readBytesPerSecond: null, writtenBytesPerSecond: null };
  assert.equal(usageCells({ job: PENDING, rates })[2], "pending");
  assert.equal(usageCells({ job: RUNNING, rates })[2], "-");
});

Deno.test("top: pending jobs are counted apart, and come after all that run", async () => {
  const terminal = new FakeTerminal();
  terminal.columns = 100;
  const view = new View(terminal, { withContext: false });
  const rates = { cpuPercent: null, readBytesPerSecond: null, writtenBytesPerSecond: null };
  const rowOf = (job: QueryResponse__Output) => ({ job, rates, history: [], context: undefined });
  view.enter();
  const jobs = [{ ...PENDING, title: "waits" }, { ...RUNNING, title: "runs" }].map(rowOf);
  await view.show(jobs, { place: "localhost:1", problems: [] });
  assert.match(terminal.text, /1 job running, 1 pending [^]*runs [^]*waits +pending /);
});

Deno.test("formatLong: where a job of a cluster is, and what the engine says of it", () => {
  const time = (timeMs: number) => new Date(timeMs).toISOString();
  const pending = formatLong({ ...PENDING, estimatedStartMs: NOW_MS + 1_000 }, ID).split("\n");
  assert.deepEqual(pending.slice(2), [
    "State:       pending",
    "Exit code:   -",
    "Waits for:   Resources",
    `Expected:    ${time(NOW_MS + 1_000)}`,
    "Partition:   main",
    "Engine:      job 42, PENDING",
    `Submitted:   ${time(NOW_MS)}`,
    "Owner:       alice",
    "Output:      0 bytes",
  ]);
  const ended = formatLong(NEVER_RAN, ID);
  assert.match(ended, new RegExp(`^Ended: {7}${time(NOW_MS + 5_000)}$`, "m"));
  assert.match(ended, /^Reason: {6}there is no program nosuch\.$/m);
  const old = formatLong({ ...RUNNING, asOfMs: NOW_MS - 60_000 }, ID);
  assert.match(old, /^Engine: {6}job 42, PENDING \(as of .*:\d\d\)$/m);
});

Deno.test("formatLong: of a job that has ended, the engine is not said to run it still", () => {
  const engineOf = (engineState: string) =>
    /^Engine: {6}(.*)$/m.exec(formatLong({ ...NEVER_RAN, engineState }, ID))?.[1];
  assert.equal(engineOf("PENDING"), "job 42");
  assert.equal(engineOf("RUNNING"), "job 42");
  assert.equal(engineOf("NODE_FAIL"), "job 42, NODE_FAIL");
});
