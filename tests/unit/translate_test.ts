/** Requests and answers: every field, given, absent and null. */
import { Metadata } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { JobError, type JobErrorKind } from "../../lib/errors.ts";
import {
  toJobQuery,
  toJobRequest,
  toQueryResponse,
  toReadRange,
  toTiming,
  withJobsFound,
  withTrace,
} from "../../lib/grpc/translate.ts";
import type { JobView } from "../../lib/job.ts";
import type { JobRecord, JobState } from "../../lib/model/record.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../lib/model/settings.ts";
import {
  jobService,
  type ListRequest,
  type ListRequest__Output,
  type StartRequest,
  type StartRequest__Output,
  type StreamRequest,
  type StreamRequest__Output,
} from "../../proto/contract.ts";

/** Requests as they come over the wire: what is not given is what the contract's code makes of it. */
function startRequest(request: StartRequest): StartRequest__Output {
  return jobService.Start.requestDeserialize(jobService.Start.requestSerialize(request));
}

function listRequest(request: ListRequest): ListRequest__Output {
  return jobService.List.requestDeserialize(jobService.List.requestSerialize(request));
}

function streamRequest(request: StreamRequest): StreamRequest__Output {
  return jobService.Stream.requestDeserialize(jobService.Stream.requestSerialize(request));
}

function assertRefused(action: () => unknown, kind: JobErrorKind, message: RegExp): void {
  assert.throws(action, (error) => {
    assert(error instanceof JobError);
    assert.equal(error.kind, kind);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("toReadRange: from byte 0, following, unless the request says otherwise", () => {
  assert.deepEqual(toReadRange(streamRequest({})), { follow: true });
  assert.deepEqual(toReadRange(streamRequest({ noFollow: true })), { follow: false });
  for (const name of ["offset", "tailLines", "tailBytes"]) {
    for (const value of [0, 1, 2 ** 40]) {
      assert.deepEqual(toReadRange(streamRequest({ [name]: value })), {
        follow: true,
        [name]: value,
      });
    }
  }
});

Deno.test("toReadRange: a beginning that is null is not given", () => {
  const nulls = { offset: null, tailLines: null, tailBytes: null };
  const request = { ...streamRequest({}), ...nulls } as unknown as StreamRequest__Output;
  assert.deepEqual(toReadRange(request), { follow: true });
  assert.deepEqual(toReadRange({ ...request, tailLines: 3 }), { follow: true, tailLines: 3 });
});

Deno.test("toReadRange: more than one beginning is refused, also where they are 0", () => {
  const beginnings: StreamRequest[] = [
    { offset: 0, tailLines: 0 },
    { offset: 0, tailBytes: 5 },
    { tailLines: 1, tailBytes: 1 },
    { offset: 1, tailLines: 1, tailBytes: 1 },
  ];
  for (const request of beginnings) {
    assertRefused(() => toReadRange(streamRequest(request)), "invalid", /only one of offset/);
  }
});

Deno.test("toTiming: none unless one of the three is asked for; with a tail, and not with an offset", () => {
  const timing = (request: StreamRequest) => toTiming(streamRequest(request));
  assert.equal(timing({ tailLines: 1 }), undefined);
  assert.deepEqual(timing({ timestamps: true }), {});
  assert.deepEqual(timing({ sinceMs: 5, untilMs: 9 }), { sinceMs: 5, untilMs: 9 });
  assert.deepEqual(toReadRange(streamRequest({ sinceMs: 5, tailLines: 1 })), {
    follow: true,
    tailLines: 1,
  });
  assertRefused(() => toReadRange(streamRequest({ sinceMs: 5, offset: 0 })), "invalid", /since_ms/);
  for (const request of [{ sinceMs: -1 }, { untilMs: -1 }]) {
    assertRefused(() => timing(request), "invalid", /before 1970/);
  }
});

Deno.test("toJobRequest: the least that a request can say", () => {
  const { command, limits, settings, secrets } = toJobRequest(
    startRequest({ name: "true" }),
    "worker",
  );
  assert.deepEqual(command, { name: "true", args: [] });
  assert.deepEqual(limits, {});
  assert.deepEqual(settings, { ...DEFAULT_SETTINGS, user: "worker" });
  assert.deepEqual(secrets.environment, {});
  assert.equal(secrets.input.length, 0);
});

Deno.test("toJobRequest: all that a request can say", () => {
  const request = startRequest({
    name: "sh",
    args: ["-c", "true"],
    env: { A: "1" },
    workingDirectory: "/srv",
    user: "nobody",
    timeoutMs: 5000,
    isolation: { privateTmp: true, noNetwork: true, ownProcesses: true },
    stopSignal: "SIGINT",
    title: "nightly",
    labels: { team: "ops" },
    limits: {
      cpuCores: 0.5,
      memoryBytes: 1024,
      readBytesPerSecond: 1,
      writeBytesPerSecond: 2,
      processes: 3,
    },
    stdin: Buffer.from("input"),
    gracePeriodMs: 0,
    umask: 0o077,
  });
  const { command, limits, settings, secrets } = toJobRequest(request, "worker");
  assert.deepEqual(command, { name: "sh", args: ["-c", "true"] });
  assert.deepEqual(limits, {
    cpuCores: 0.5,
    memoryBytes: 1024,
    readBytesPerSecond: 1,
    writeBytesPerSecond: 2,
    processes: 3,
  });
  const { secretsDigest, ...others } = settings;
  assert.match(secretsDigest, /^[0-9a-f]{64}$/);
  assert.deepEqual(others, {
    user: "nobody",
    workingDirectory: "/srv",
    umask: 0o077,
    timeoutMs: 5000,
    stopSignal: "INT",
    graceMs: 0,
    isolation: { privateTmp: true, noNetwork: true, ownProcesses: true },
    title: "nightly",
    labels: { team: "ops" },
  });
  assert.deepEqual(secrets.environment, { A: "1" });
  assert.equal(Buffer.from(secrets.input).toString(), "input");
});

Deno.test("toJobRequest: limits are those that were given, 0 and negative ones as well", () => {
  assert.deepEqual(toJobRequest(startRequest({ name: "a", limits: {} }), "root").limits, {});
  const limits = { cpuCores: -1.5, memoryBytes: 0 };
  assert.deepEqual(toJobRequest(startRequest({ name: "a", limits }), "root").limits, limits);
  const nulls = { cpuCores: null, memoryBytes: undefined, processes: 7 };
  const request = { ...startRequest({ name: "a" }), limits: nulls };
  const { limits: given } = toJobRequest(request as unknown as StartRequest__Output, "root");
  assert.deepEqual(given, { processes: 7 });
});

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

const any = () => true;

Deno.test("withTrace: a variable that a rule forbids stays out of the job", () => {
  const asked = toJobRequest(startRequest({ name: "a" }), "root");
  const metadata = metadataOf({ traceparent: TRACE, tracestate: "a=b" });
  const traced = withTrace(asked, metadata, (name) => name === "TRACEPARENT");
  assert.deepEqual(traced.secrets.environment, { TRACEPARENT: TRACE });
});

Deno.test("withTrace: the caller's trace is in the job's environment, unless the request has its own", () => {
  const asked = toJobRequest(startRequest({ name: "a", env: { A: "1" } }), "root");
  const traced = withTrace(asked, metadataOf({ traceparent: TRACE, tracestate: "a=b" }), any);
  assert.deepEqual(traced.secrets.environment, { TRACEPARENT: TRACE, TRACESTATE: "a=b", A: "1" });
  assert.deepEqual(asked.secrets.environment, { A: "1" }, "the request was changed");
  const own = toJobRequest(startRequest({ name: "a", env: { TRACEPARENT: "mine" } }), "root");
  assert.equal(
    withTrace(own, metadataOf({ traceparent: TRACE }), any).secrets.environment["TRACEPARENT"],
    "mine",
  );
  for (const headers of [{}, { traceparent: "junk" }, { tracestate: "a=b" }]) {
    assert.deepEqual(withTrace(asked, metadataOf(headers), any), asked);
  }
});

Deno.test("withTrace: a retry with another trace is the same request", () => {
  const asked = toJobRequest(startRequest({ name: "a" }), "root");
  const traced = withTrace(asked, metadataOf({ traceparent: TRACE }), any);
  assert.deepEqual(traced.settings, asked.settings);
});

Deno.test("toJobQuery: what is not given does not narrow", () => {
  assert.deepEqual(toJobQuery(listRequest({}), undefined), {
    states: [],
    owner: undefined,
    labels: {},
    startedAfterMs: 0,
    startedBeforeMs: Infinity,
    pageSize: 0,
    pageToken: "",
    withUsage: false,
    failedOnly: false,
    queue: undefined,
  });
});

Deno.test("toJobQuery: everything that can be given, times before 1970 as well", () => {
  const request = listRequest({
    states: ["JOB_STATE_RUNNING", "JOB_STATE_STOPPING", "JOB_STATE_EXITED", "JOB_STATE_LOST"],
    owner: "bob",
    labels: { team: "ops" },
    startedAfterMs: -5,
    startedBeforeMs: -1,
    pageSize: 7,
    pageToken: "next",
    withUsage: true,
    failedOnly: true,
    queue: "builds",
  });
  assert.deepEqual(toJobQuery(request, undefined), {
    states: ["running", "stopping", "exited", "lost"],
    owner: "bob",
    labels: { team: "ops" },
    startedAfterMs: -5,
    startedBeforeMs: -1,
    pageSize: 7,
    pageToken: "next",
    withUsage: true,
    failedOnly: true,
    queue: "builds",
  });
});

Deno.test("toJobQuery: a state that no job is listed by is refused", () => {
  for (const states of [[0], [99], ["JOB_STATE_UNSPECIFIED"]] as ListRequest["states"][]) {
    const request = listRequest({ states: ["JOB_STATE_RUNNING", ...states ?? []] });
    assertRefused(() => toJobQuery(request, undefined), "invalid", /is not a job state/);
  }
  // The names of an object's own parts are not states.
  for (const name of ["constructor", "__proto__", "toString"]) {
    const request = { ...listRequest({}), states: [name] } as unknown as ListRequest__Output;
    assertRefused(() => toJobQuery(request, undefined), "invalid", /is not a job state/);
  }
});

Deno.test("toJobQuery: who may see only its own jobs sees them, and is refused those of others", () => {
  assert.equal(toJobQuery(listRequest({}), "alice").owner, "alice");
  assert.equal(toJobQuery(listRequest({ owner: "alice" }), "alice").owner, "alice");
  for (const owner of ["bob", "Alice", " alice"]) {
    assertRefused(() => toJobQuery(listRequest({ owner }), "alice"), "denied", /jobs of others/);
  }
});

Deno.test("withJobsFound: a start comes after jobs by their ids, each once", () => {
  const start = startOf({ queue: { after: ["nightly", "0a1b", "nightly"] } });
  const found = withJobsFound(start, (name) => `id of ${name}`);
  assert.deepEqual(found.settings.queue, { after: ["id of nightly", "id of 0a1b"] });
  assert.equal(start.settings.queue?.after?.length, 3);
  for (const other of [startOf({}), startOf({ queue: { cpus: 1 } })]) {
    assert.equal(withJobsFound(other, () => assert.fail("nothing is to be found")), other);
  }
});

Deno.test("withJobsFound: a job that is not found is told as the start's, and a defect as it is", () => {
  const start = startOf({ queue: { after: ["x"] } });
  const failing = (error: Error) => () =>
    withJobsFound(start, () => {
      throw error;
    });
  assertRefused(
    failing(new JobError("not-found", "No job has the id")),
    "not-found",
    /^Cannot start the job after "x": No job/,
  );
  assert.throws(failing(new TypeError("defect")), /^TypeError: defect/);
});

function startOf(settings: Partial<JobSettings>): JobRequest {
  return {
    command: { name: "true", args: [] },
    limits: {},
    settings: { ...DEFAULT_SETTINGS, ...settings },
    secrets: { environment: {}, input: new Uint8Array() },
  };
}

const ID = "0a1b2c3d-0000-4000-8000-000000000000";

function view(state: JobState, record: Partial<JobRecord> = {}): JobView {
  return {
    record: {
      id: ID,
      command: { name: "sh", args: ["-c", "true"] },
      owner: "alice",
      idempotencyKey: "",
      createdAtMs: 1,
      limits: { cpuCores: 2 },
      handle: {},
      state,
      firstOffset: 10,
      ...record,
    },
    usage: { memoryBytes: 3 },
    inputBytes: 0,
    outputBytes: 20,
    stderrBytes: 5,
    engine: undefined,
    wait: undefined,
  };
}

/** What the answer of a cluster's job has, of which the engine has said nothing yet. */
const OF_ENGINE = {
  submittedAtMs: 1,
  node: "",
  partition: "",
  engineJob: "",
  engineState: "",
  asOfMs: 0,
  clusterRequest: { account: "", qos: "", cpus: 0, gpus: "", constraint: "" },
};

/** What every answer has. */
const COMMON = {
  jobID: ID,
  title: "",
  labels: {},
  user: "root",
  workingDirectory: "/",
  isolation: { privateTmp: false, noNetwork: false, ownProcesses: false },
  timeoutMs: 0,
  timedOut: false,
  stoppedBy: "",
  umask: 0o022,
  stopSignal: "TERM",
  askedLimits: { cpuCores: 2 },
  openFiles: 0,
  hasSecrets: false,
  openStdin: false,
  inputBytes: 0,
  name: "sh",
  args: ["-c", "true"],
  owner: "alice",
  limits: { cpuCores: 2 },
  usage: { memoryBytes: 3 },
  outputBytes: 20,
  outputFirstOffset: 10,
  separateStderr: false,
  stderrBytes: 5,
  stderrFirstOffset: 0,
};

const BEGUN = { pid: 7, startedAtMs: 100 };
const USAGE = {} as Extract<JobState, { exitCode: number }>["usage"];

const STATES: Readonly<Record<string, [JobState, Record<string, unknown>]>> = {
  "starting": [{ kind: "starting" }, {}],
  "running": [{ kind: "running", ...BEGUN }, {
    ...BEGUN,
    exited: false,
    state: "JOB_STATE_RUNNING",
  }],
  "stopping": [{ kind: "stopping", ...BEGUN, killAtMs: 900 }, {
    ...BEGUN,
    exited: false,
    state: "JOB_STATE_STOPPING",
  }],
  "ended by itself": [
    {
      kind: "exited",
      ...BEGUN,
      endedAtMs: 200,
      exitCode: 0,
      signal: 0,
      oomKilled: false,
      usage: USAGE,
    },
    {
      ...BEGUN,
      exited: true,
      state: "JOB_STATE_EXITED",
      endedAtMs: 200,
      exitCode: 0,
      signal: 0,
      oomKilled: false,
    },
  ],
  "ended by a signal": [
    {
      kind: "exited",
      ...BEGUN,
      endedAtMs: 200,
      exitCode: 137,
      signal: 9,
      oomKilled: true,
      usage: USAGE,
    },
    {
      ...BEGUN,
      exited: true,
      state: "JOB_STATE_EXITED",
      endedAtMs: 200,
      exitCode: 137,
      signal: 9,
      oomKilled: true,
    },
  ],
  "never ran": [{ kind: "never-ran", endedAtMs: 200, reason: "no such program" }, {
    ...OF_ENGINE,
    pid: 0,
    exited: true,
    state: "JOB_STATE_NEVER_RAN",
    endedAtMs: 200,
    exitCode: -1,
    reason: "no such program",
  }],
  "pending": [{ kind: "pending" }, {
    ...OF_ENGINE,
    pendingReason: "",
    estimatedStartMs: 0,
    pid: 0,
    exited: false,
    state: "JOB_STATE_PENDING",
  }],
  "lost": [{ kind: "lost", ...BEGUN, endedAtMs: 200, reason: "reboot" }, {
    ...BEGUN,
    exited: true,
    state: "JOB_STATE_LOST",
    endedAtMs: 200,
    exitCode: -1,
    reason: "reboot",
  }],
};

Deno.test("toQueryResponse: of a job that has ended, the engine is not said to run it still", () => {
  const stateIn = (state: JobState, engineState: string) =>
    toQueryResponse({ ...view(state), engine: { engineState, asOfMs: 9 } }).engineState;
  const lost = { kind: "lost", ...BEGUN, endedAtMs: 200, reason: "reboot" } as const;
  assert.equal(stateIn(lost, "RUNNING"), "");
  assert.equal(stateIn(lost, "NODE_FAIL"), "NODE_FAIL");
  assert.equal(stateIn({ kind: "running", ...BEGUN }, "RUNNING"), "RUNNING");
});

Deno.test("toQueryResponse: what the engine says, while the job waits and when it has run", () => {
  const engine = {
    engineJob: "12",
    engineState: "PENDING",
    pendingReason: "Resources",
    estimatedStartMs: 7,
    partition: "main",
    asOfMs: 9,
  };
  const { pendingReason, estimatedStartMs, ...shown } = engine;
  const waiting = toQueryResponse({ ...view({ kind: "pending" }), engine });
  assert.deepEqual(waiting, {
    ...COMMON,
    ...OF_ENGINE,
    ...shown,
    pendingReason,
    estimatedStartMs,
    pid: 0,
    exited: false,
    state: "JOB_STATE_PENDING",
  });
  const state = { kind: "running", ...BEGUN, node: "n1" } as const;
  assert.deepEqual(toQueryResponse({ ...view(state), engine }), {
    ...COMMON,
    ...OF_ENGINE,
    ...shown,
    node: "n1",
    ...BEGUN,
    exited: false,
    state: "JOB_STATE_RUNNING",
  });
});

Deno.test("toQueryResponse: the partition that was asked for, until the engine says one", () => {
  const settings = { ...DEFAULT_SETTINGS, queue: { partition: "night" } };
  const waiting = view({ kind: "pending" }, { settings });
  assert.equal(toQueryResponse(waiting).partition, "night");
  const engine = { partition: "main", asOfMs: 9 };
  assert.equal(toQueryResponse({ ...waiting, engine }).partition, "main");
});

for (const [name, [state, expected]] of Object.entries(STATES)) {
  Deno.test(`toQueryResponse: a job that is ${name}`, () => {
    assert.deepEqual(toQueryResponse(view(state)), { ...COMMON, ...expected });
  });

  Deno.test(`toQueryResponse: the answer of a job that is ${name} can be sent`, () => {
    const response = toQueryResponse(view(state));
    const read = jobService.Query.responseDeserialize(jobService.Query.responseSerialize(response));
    for (const [field, value] of Object.entries(expected)) {
      assert.deepEqual(read[field as keyof typeof read], value, field);
    }
  });
}

Deno.test("toQueryResponse: the settings that the job was started with", () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    title: "nightly",
    labels: { team: "ops" },
    user: "nobody",
    workingDirectory: "/srv",
    timeoutMs: 9,
    isolation: { privateTmp: true, noNetwork: false, ownProcesses: true },
    umask: 0o027,
    stopSignal: "INT",
    graceMs: 5,
    secretsDigest: "ab",
    separateStderr: true,
  } as const;
  const { secretsDigest: _digest, graceMs: _graceMs, ...shown } = settings;
  const askedLimits = { memoryBytes: 7 };
  const record = {
    settings,
    timedOut: true,
    stoppedBy: "bob",
    askedLimits,
    stderrFirstOffset: 4,
  };
  const response = toQueryResponse(view({ kind: "running", ...BEGUN }, record));
  assert.deepEqual(response, {
    ...COMMON,
    ...shown,
    timedOut: true,
    stoppedBy: "bob",
    gracePeriodMs: 5,
    askedLimits,
    hasSecrets: true,
    stderrFirstOffset: 4,
    ...BEGUN,
    exited: false,
    state: "JOB_STATE_RUNNING",
  });
});
