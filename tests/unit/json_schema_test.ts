/** What programs are given, held against the schema that is promised to them. */
import { Ajv } from "ajv";
import { strict as assert } from "node:assert";
import schema from "../../docs/job.schema.json" with { type: "json" };
import { toJson } from "../../client/screen/format.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

const isJob = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true }).compile(schema);

const ENDED: QueryResponse__Output = {
  pid: 7,
  exitCode: 137,
  exited: true,
  state: "JOB_STATE_EXITED",
  signal: 9,
  oomKilled: true,
  name: "sh",
  args: ["-c", "ä\n"],
  owner: "alice",
  startedAtMs: 1_700_000_000_000,
  endedAtMs: 1_700_000_001_000,
  limits: {
    cpuCores: 0.5,
    memoryBytes: 5,
    readBytesPerSecond: 1,
    writeBytesPerSecond: 1,
    processes: 2,
    memoryHighBytes: 4,
    readOperationsPerSecond: 1,
    writeOperationsPerSecond: 1,
    allowedCpus: "0-3,5",
    disks: [{ disk: "/dev/sdb", readBytesPerSecond: 5 }],
  },
  usage: {
    memoryBytes: 0,
    memoryPeakBytes: 1,
    cpuUsec: 2,
    cpuThrottledUsec: 3,
    readBytes: 4,
    writtenBytes: 5,
    processes: 6,
  },
  outputBytes: 9,
  outputFirstOffset: 4,
  separateStderr: true,
  stderrBytes: 7,
  stderrFirstOffset: 0,
  reason: "",
  jobID: ID,
  title: "name",
  labels: { a: "b" },
  user: "nobody",
  workingDirectory: "/",
  timedOut: true,
  isolation: { privateTmp: true, noNetwork: false, ownProcesses: true },
  timeoutMs: 5,
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
  ...ENDED,
  exited: false,
  state: "JOB_STATE_RUNNING",
  endedAtMs: 0,
  limits: null,
  usage: null,
  title: "",
  isolation: null,
  timeoutMs: 0,
};

const PENDING: QueryResponse__Output = {
  ...RUNNING,
  pid: 0,
  state: "JOB_STATE_PENDING",
  pendingReason: "Resources",
  submittedAtMs: 1_700_000_000_000,
  estimatedStartMs: 1_700_000_060_000,
  engineJob: "42",
  engineState: "PENDING",
  asOfMs: 1_700_000_000_900,
  partition: "main",
};

function print(job: QueryResponse__Output): Record<string, unknown> {
  return JSON.parse(JSON.stringify(toJson(job, ID)));
}

Deno.test("--json: every kind of job is as the schema promises, and no field is unsaid", () => {
  const lost = { ...ENDED, state: "JOB_STATE_LOST", exitCode: -1, reason: "gone" } as const;
  const stopping = { ...RUNNING, state: "JOB_STATE_STOPPING" } as const;
  const neverRan = { ...lost, pid: 0, state: "JOB_STATE_NEVER_RAN", node: "n1" } as const;
  for (const job of [ENDED, RUNNING, stopping, lost, PENDING, neverRan]) {
    const printed = print(job);
    assert(isJob(printed), JSON.stringify(isJob.errors));
    assert.deepEqual(Object.keys(printed).sort(), schema.required.toSorted());
  }
});

Deno.test("--json: a job of one of several servers is told with its context", () => {
  const printed = JSON.parse(JSON.stringify(toJson(RUNNING, ID, "prod-a")));
  assert.equal(printed.context, "prod-a");
  assert(isJob(printed), JSON.stringify(isJob.errors));
  assert(!isJob({ ...printed, context: null }));
  assert(!isJob({ ...printed, context: "a/b" }));
});

Deno.test("the schema: takes nothing that is no job", () => {
  const good = print(ENDED);
  for (const name of schema.required) {
    const { [name]: _left, ...rest } = good;
    assert(!isJob(rest), `${name} may be missing`);
  }
  for (
    const change of [{ state: "RUNNING" }, { jobID: "x" }, { pid: -1 }, { args: "x" }, {
      exited: 1,
    }]
  ) {
    assert(!isJob({ ...good, ...change }), JSON.stringify(change));
  }
});
