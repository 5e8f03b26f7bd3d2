/** What the verbs make of the server's answers, without a server. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import type { JobSpec } from "../../client/jobs/job_spec.ts";
import { readJobSpec } from "../../client/command_line/start_options.ts";
import { Session } from "../../client/connection/session.ts";
import {
  ClientError,
  ConnectionLostError,
  GrpcStatus,
  RefusedCallError,
} from "../../client/errors.ts";
import { ExitStatus } from "../../client/exit_status.ts";
import { listJobs } from "../../client/jobs/list.ts";
import { resolveJobID } from "../../client/jobs/resolve_id.ts";
import { startJob, toStartRequest, UnknownOutcomeError } from "../../client/jobs/start.ts";
import { exitCodeOf, stateOf, toListRequest } from "../../client/jobs/state.ts";
import { measureUsage, ratesOf } from "../../client/jobs/usage.ts";
import { waitForExit } from "../../client/verbs/wait.ts";
import type { ListRequest, QueryResponse__Output } from "../../proto/contract.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import { type Answer, ENDPOINT, FakeConnection } from "../support/fake_connection.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

/** A session whose server answers so. */
function sessionWith(answer: Answer): { session: Session; connection: FakeConnection } {
  const connection = new FakeConnection(answer);
  const open = () => Promise.resolve(connection.asConnection);
  return { connection, session: new Session(ENDPOINT, { open }) };
}

function jobWith(fields: Partial<QueryResponse__Output>): QueryResponse__Output {
  return {
    state: "JOB_STATE_EXITED",
    exited: true,
    exitCode: 0,
    reason: "",
    ...fields,
  } as QueryResponse__Output;
}

for (const exitCode of [0, 1, 143, 255]) {
  Deno.test(`waitForExit: the exit code ${exitCode} is passed on`, async () => {
    const { session } = sessionWith(() => jobWith({ exitCode }));
    const context = { session, terminal: new FakeTerminal() };
    assert.equal(await waitForExit(context, ID, { retryForMs: 0 }), exitCode);
  });
}

Deno.test("waitForExit: a lost job is a failure of the client, whatever its exit code field says", async () => {
  for (
    const [reason, text] of [["", "its end was not observed"], ["a reboot", "a reboot"]] as const
  ) {
    for (const exitCode of [-1, 0]) {
      const { session } = sessionWith(() => jobWith({ state: "JOB_STATE_LOST", exitCode, reason }));
      await assert.rejects(
        waitForExit({ session, terminal: new FakeTerminal() }, ID, { retryForMs: 0 }),
        (error) => {
          assert(error instanceof ClientError);
          assert.equal(error.exitStatus, ExitStatus.ownFailure);
          assert(error.message.includes(`the job was lost (${text})`), error.message);
          return true;
        },
      );
    }
  }
});

Deno.test("exitCodeOf: only a job that ran and has ended, and was not lost, has one", () => {
  assert.equal(exitCodeOf(jobWith({ exitCode: 3 })), 3);
  assert.equal(exitCodeOf(jobWith({ exited: false })), undefined);
  assert.equal(exitCodeOf(jobWith({ state: "JOB_STATE_LOST" })), undefined);
  assert.equal(exitCodeOf(jobWith({ state: "JOB_STATE_NEVER_RAN", exitCode: 0 })), undefined);
});

Deno.test("stateOf: the contract's states, and what an old server says without them", () => {
  assert.equal(stateOf(jobWith({ state: "JOB_STATE_STOPPING" })), "stopping");
  assert.equal(stateOf(jobWith({ state: "JOB_STATE_PENDING", exited: false })), "pending");
  assert.equal(stateOf(jobWith({ state: "JOB_STATE_NEVER_RAN", exited: true })), "never-ran");
  assert.equal(stateOf(jobWith({ state: "JOB_STATE_UNSPECIFIED", exited: true })), "exited");
  assert.equal(stateOf(jobWith({ state: "JOB_STATE_UNSPECIFIED", exited: false })), "running");
});

Deno.test("resolveJobID: a whole id needs no call", async () => {
  const { session, connection } = sessionWith(() => assert.fail("it was called"));
  assert.equal(await resolveJobID(session, ID), ID);
  assert.deepEqual(connection.calls, []);
});

for (
  const text of [
    "a3c1e8b4",
    ID.slice(0, -1),
    `${ID}0`,
    ID.toUpperCase(),
    ` ${ID}`,
    `${ID}\n`,
    "nightly",
    "",
  ]
) {
  Deno.test(`resolveJobID: ${JSON.stringify(text)} is looked up`, async () => {
    const { session, connection } = sessionWith((_method, request) => {
      assert.deepEqual(request, { jobID: text });
      return jobWith({ jobID: ID });
    });
    assert.equal(await resolveJobID(session, text), ID);
    assert.deepEqual(connection.calls, ["Query"]);
  });
}

Deno.test("resolveJobID: a server that does not return ids gets the text as it is", async () => {
  const { session } = sessionWith(() => jobWith({ jobID: "" }));
  assert.equal(await resolveJobID(session, "nightly"), "nightly");
});

const REQUEST = toStartRequest(["ls", "-la"], { idempotencyKey: "key" });

for (
  const [what, error, isUnknown] of [
    ["no answer in time", new RefusedCallError("late", GrpcStatus.deadlineExceeded), true],
    ["a server that shuts down", new RefusedCallError("away", GrpcStatus.unavailable), true],
    ["a refusal", new RefusedCallError("no", GrpcStatus.permissionDenied), false],
    ["a wrong request", new RefusedCallError("no", GrpcStatus.invalidArgument), false],
  ] as const
) {
  Deno.test(`startJob: ${what}: the job ${isUnknown ? "may run" : "does not run"}`, async () => {
    const { session } = sessionWith(() => {
      throw error;
    });
    await assert.rejects(startJob(session, REQUEST), (thrown) => {
      assert.equal(thrown instanceof UnknownOutcomeError, isUnknown);
      assert.equal((thrown as ClientError).exitStatus, error.exitStatus);
      if (thrown instanceof UnknownOutcomeError) assert.equal(thrown.idempotencyKey, "key");
      return true;
    });
  });
}

Deno.test("startJob: every try of one start has the same idempotency key", async () => {
  const requests: unknown[] = [];
  let isFirst = true;
  const { session } = sessionWith((_method, request) => {
    requests.push(request);
    if (!isFirst) return { jobID: ID };
    isFirst = false;
    throw new ConnectionLostError("Lost the connection.");
  });
  assert.equal(await startJob(session, REQUEST), ID);
  assert.deepEqual(requests, [REQUEST, REQUEST]);
});

Deno.test("toStartRequest: a text that UTF-8 cannot hold is refused, wherever it stands", () => {
  const half = "a\ud800";
  const key = { idempotencyKey: "k" };
  const refused: [words: string[], spec: JobSpec][] = [
    [[half], key],
    [["ls", half], key],
    [["ls"], { idempotencyKey: half }],
    [["ls"], { ...key, title: half }],
    [["ls"], { ...key, user: half }],
    [["ls"], { ...key, workingDirectory: half }],
    [["ls"], { ...key, env: { A: half } }],
    [["ls"], { ...key, env: { [half]: "" } }],
    [["ls"], { ...key, labels: { a: half } }],
  ];
  for (const [words, spec] of refused) {
    assert.throws(() => toStartRequest(words, spec), /a text has half of a character/);
  }
  toStartRequest(["ls", "\u{1f600}", "\ufffd"], key);
});

Deno.test("readJobSpec: an --env-file that is not UTF-8 is refused, and not sent with other characters", async () => {
  const terminal = new FakeTerminal();
  const read = (bytes: number[]) => {
    terminal.read = () => Promise.resolve(new Uint8Array(bytes));
    const options = { envFile: "vars", idempotencyKey: "k", network: true };
    return readJobSpec(options, terminal);
  };
  assert.deepEqual((await read([0x41, 0x3d, 0xc3, 0xa9, 0x0a])).env, { A: "\u00e9" });
  for (const bytes of [[0x41, 0x3d, 0xff], [0x41, 0x3d, 0xc3], [0x41, 0x3d, 0xed, 0xa0, 0x80]]) {
    await assert.rejects(read(bytes), /^ClientError: .*--env-file vars is not UTF-8\. Pass such/);
  }
});

Deno.test("toStartRequest: what is not given is left to the server", () => {
  assert.deepEqual(REQUEST, {
    name: "ls",
    args: ["-la"],
    idempotencyKey: "key",
    title: "",
    labels: {},
    env: {},
    workingDirectory: "",
    user: "",
    timeoutMs: 0,
    stopSignal: "",
  });
  const stdin = Buffer.alloc(2 * 1024 ** 2);
  const spec = { idempotencyKey: "key", stdin, umask: 0, graceMs: 0 };
  const { umask, gracePeriodMs, stdin: sent } = toStartRequest(["ls"], spec);
  assert.deepEqual([umask, gracePeriodMs, sent?.length], [0, 0, 2 * 1024 ** 2]);
});

Deno.test("toListRequest: names states as the contract does, and leaves out what is not given", () => {
  assert.deepEqual(toListRequest({ states: ["running", "lost", "pending", "never-ran"] }), {
    states: ["JOB_STATE_RUNNING", "JOB_STATE_LOST", "JOB_STATE_PENDING", "JOB_STATE_NEVER_RAN"],
    labels: {},
  });
  assert.deepEqual(toListRequest({ owner: "", startedAfterMs: 0 }), {
    states: [],
    labels: {},
    owner: "",
    startedAfterMs: 0,
  });
});

/** A server with so many jobs, which it lists in pages; the requests are noted. */
function listing(count: number) {
  const requests: ListRequest[] = [];
  const { session } = sessionWith((_method, request) => {
    const { pageSize = 0, pageToken = "" } = request as ListRequest;
    requests.push(request as ListRequest);
    const begin = Number(pageToken);
    const end = Math.min(count, begin + pageSize);
    const jobs = Array.from({ length: end - begin }, (_, index) => jobWith({ pid: begin + index }));
    return { jobs, nextPageToken: end < count ? String(end) : "" };
  });
  return { session, requests };
}

for (
  const [count, limit, expected, pageSizes] of [
    [0, undefined, 0, [500]],
    [501, undefined, 501, [500, 500]],
    [500, undefined, 500, [500]],
    [10, 3, 3, [3]],
    [1_200, 700, 700, [500, 200]],
    [10, 0, 0, [1]],
  ] as const
) {
  Deno.test(`listJobs: of ${count} jobs with the limit ${limit} it lists ${expected}`, async () => {
    const { session, requests } = listing(count);
    const pids: number[] = [];
    for await (const { pid } of listJobs(session, {}, { limit })) pids.push(pid);
    assert.deepEqual(pids, Array.from({ length: expected }, (_, index) => index));
    assert.deepEqual(requests.map(({ pageSize }) => pageSize), pageSizes);
  });
}

/** A server before clusters: a fake, since no release's binary is here. */
function withoutQueue() {
  return sessionWith((_method, request) => {
    const { states = [] } = request as ListRequest;
    if (states.includes("JOB_STATE_PENDING")) {
      throw new RefusedCallError("5 is not a job state.", GrpcStatus.invalidArgument);
    }
    return { jobs: [jobWith({ pid: 7 })], nextPageToken: "" };
  });
}

Deno.test("listJobs: a server that has no queue lists what else is asked for", async () => {
  const { session, connection } = withoutQueue();
  const request = toListRequest({ states: ["pending", "running"] });
  const pids: number[] = [];
  for await (const { pid } of listJobs(session, request)) pids.push(pid);
  assert.deepEqual([pids, connection.calls], [[7], ["List", "List"]]);
});

Deno.test("listJobs: a server that has no queue refuses a list of pending jobs alone", async () => {
  const { session } = withoutQueue();
  const request = toListRequest({ states: ["pending", "never-ran"] });
  await assert.rejects(listJobs(session, request).next(), /not a job state/);
});

Deno.test("listJobs: a refusal for another reason is not asked about twice", async () => {
  const { session, connection } = sessionWith(() => {
    throw new RefusedCallError("No.", GrpcStatus.permissionDenied);
  });
  const request = toListRequest({ states: ["pending", "running"] });
  await assert.rejects(listJobs(session, request).next(), /No\./);
  assert.deepEqual(connection.calls, ["List"]);
});

Deno.test("ratesOf: usage per second between two samples; null where it is unknown", () => {
  const usage = (cpuUsec: number, readBytes?: number) => ({
    cpuUsec,
    readBytes: readBytes ?? null,
  });
  const job = (jobID: string, use: object | null) => jobWith({ jobID, usage: use as never });
  const before = { atMs: 1_000, jobs: [job("a", usage(0, 100)), job("b", null)] };
  const after = {
    atMs: 3_000,
    jobs: [job("a", usage(1_000_000, 300)), job("b", usage(5)), job("c", usage(5, 5))],
  };
  const none = { cpuPercent: null, readBytesPerSecond: null, writtenBytesPerSecond: null };
  assert.deepEqual(ratesOf(before, after).map(({ rates }) => rates), [
    { cpuPercent: 50, readBytesPerSecond: 100, writtenBytesPerSecond: null },
    none,
    none,
  ]);
  assert.deepEqual(ratesOf(after, after)[0]?.rates, none, "no time has passed");
});

Deno.test("ratesOf: on a cluster between two counts of the node, whenever they were asked for", () => {
  const sample = (atMs: number, cpuUsec: number, asOfMs: number) => ({
    atMs,
    jobs: [jobWith({ jobID: "a", usage: { cpuUsec, asOfMs } as never })],
  });
  const rateOf = (before: ReturnType<typeof sample>, after: ReturnType<typeof sample>) =>
    ratesOf(before, after)[0]?.rates.cpuPercent;
  assert.equal(rateOf(sample(1000, 0, 500), sample(2000, 1_000_000, 2500)), 50);
  assert.equal(rateOf(sample(1000, 7, 500), sample(2000, 7, 500)), null, "not counted again");
});

Deno.test("measureUsage: waits until the node of a cluster's job has counted twice, and no longer", async () => {
  const counts = [null, null, { cpuUsec: 0, asOfMs: 1000 }, { cpuUsec: 0, asOfMs: 1000 }, {
    cpuUsec: 500_000,
    asOfMs: 2000,
  }];
  let asked = 0;
  const { session } = sessionWith(() => ({
    jobs: [
      jobWith({
        jobID: "a",
        engineJob: "12",
        exited: false,
        state: "JOB_STATE_RUNNING",
        usage: (counts[asked++] ?? null) as never,
      }),
    ],
    nextPageToken: "",
  }));
  const [rated] = await measureUsage(session, { labels: {}, intervalMs: 1 });
  assert.deepEqual([rated?.rates.cpuPercent, asked], [50, counts.length]);
});

Deno.test("startJob: a server that cannot send input later is not sent a start that needs it", async () => {
  const answers: [object, RegExp | undefined][] = [
    [{ openStdin: true, engine: "" }, undefined],
    [{ openStdin: false, engine: "" }, /the server at localhost:1 cannot send .* Upgrade it/],
    [
      { openStdin: false, engine: "Slurm 22" },
      /localhost:1 runs jobs on a cluster, where .*--stdin/,
    ],
  ];
  for (const [info, refused] of answers) {
    const connection = new FakeConnection((method) => method === "Info" ? info : { jobID: ID });
    const session = new Session(ENDPOINT, { open: () => Promise.resolve(connection.asConnection) });
    const starting = startJob(session, { ...REQUEST, openStdin: true });
    if (refused === undefined) assert.equal(await starting, ID);
    else await assert.rejects(starting, refused);
    assert.deepEqual(connection.calls, refused === undefined ? ["Info", "Start"] : ["Info"]);
  }
});
