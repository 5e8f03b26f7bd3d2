/** What a job that is started once more takes over from the first one. */
import { strict as assert } from "node:assert";
import type { JobSpec } from "../../client/jobs/job_spec.ts";
import { specLike } from "../../client/jobs/rerun.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";

const JOB = {
  title: "nightly",
  labels: { team: "ops" },
  user: "ci",
  workingDirectory: "/srv",
  umask: 0o027,
  stopSignal: "INT",
  gracePeriodMs: 5,
  timeoutMs: 9,
  isolation: { privateTmp: true, noNetwork: false, ownProcesses: false },
  limits: { memoryBytes: 99, processes: 4096 },
  askedLimits: { memoryBytes: 77, cpuCores: null },
  openFiles: 0,
  hasSecrets: false,
  openStdin: false,
  inputBytes: 0,
  partition: "",
  queue: "",
} as unknown as QueryResponse__Output;

const GIVEN: JobSpec = { idempotencyKey: "key", labels: {}, env: {} };

function like(job: Partial<QueryResponse__Output>, given: Partial<JobSpec> = {}, bare = false) {
  return specLike({ ...JOB, ...job }, { ...GIVEN, ...given }, {
    name: "nightly",
    defaultUser: "root",
    withoutSecrets: bare,
  });
}

Deno.test("specLike: everything of the first job that is not given now", () => {
  const { title, labels, user, workingDirectory, umask, stopSignal, graceMs, timeoutMs, limits } =
    like({});
  assert.deepEqual(
    { title, labels, user, workingDirectory, umask, stopSignal, graceMs, timeoutMs, limits },
    {
      title: "nightly",
      labels: { team: "ops" },
      user: "ci",
      workingDirectory: "/srv",
      umask: 0o027,
      stopSignal: "INT",
      graceMs: 5,
      timeoutMs: 9,
      limits: { memoryBytes: 77 },
    },
  );
  const inQueue = like({ queue: "builds" });
  assert.equal(inQueue.queue?.queue, "builds");
  assert.equal(like({ queue: "builds" }, { queue: { queue: "night" } }).queue?.queue, "night");
  const changed = like({}, { title: "again", limits: { processes: 5 }, labels: { a: "b" } });
  assert.deepEqual([changed.title, changed.limits, changed.labels], [
    "again",
    { memoryBytes: 77, processes: 5 },
    { a: "b" },
  ]);
});

Deno.test("specLike: the user is asked for only where the first start did", () => {
  // One that the server chose may need a rule that this caller does not have.
  for (const user of ["root", "100001"]) assert.equal(like({ user }).user, undefined, user);
  assert.equal(like({ user: "root" }, { user: "nobody" }).user, "nobody");
});

Deno.test("specLike: variables and input are never left out unnoticed", () => {
  assert.throws(() => like({ hasSecrets: true }), /kept nowhere.*--without-secrets/);
  like({ hasSecrets: true }, { env: { A: "1" } });
  like({ hasSecrets: true }, { stdin: new Uint8Array() });
  like({ hasSecrets: true }, {}, true);
  assert.throws(() => like({ openStdin: true }), /sent its input while it ran.*--stdin/);
  like({ openStdin: true }, { stdin: new Uint8Array() });
  like({ openStdin: true }, {}, true);
  assert.throws(() => like({ stopSignal: "" }), /does not tell how it was started/);
});

Deno.test("specLike: standard error stays apart, or comes apart", () => {
  const separate = [like({ separateStderr: true }), like({}, { separateStderr: true }), like({})];
  assert.deepEqual(separate.map((spec) => spec.separateStderr ?? false), [true, true, false]);
});
