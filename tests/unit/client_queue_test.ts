/** What a start asks of a cluster's queue. The server is a fake: no cluster is needed for the client. */
import { strict as assert } from "node:assert";
import { Command } from "commander";
import { parseBeginMs } from "../../client/command_line/begin_time.ts";
import { defineStartOptions, readJobSpec } from "../../client/command_line/start_options.ts";
import { Session } from "../../client/connection/session.ts";
import { ClientError } from "../../client/errors.ts";
import { toQueueFields } from "../../client/jobs/queue.ts";
import { startJob, toStartRequest } from "../../client/jobs/start.ts";
import type { JobLimits } from "../../proto/contract.ts";
import { JobWorkerClient } from "../../client/mod.ts";
import type { StartOptions } from "../../client/api/types.ts";
import { toJobSpec } from "../../client/api/arguments.ts";
import { Authority } from "../support/client_certificates.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import { ENDPOINT, FakeConnection } from "../support/fake_connection.ts";

/** A moment of an ordinary day: 2026-05-04 10:00:30, in the time zone of this process. */
const NOW_MS = new Date(2026, 4, 4, 10, 0, 30).getTime();

/** The request of a command line. */
async function requestOf(...args: string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  defineStartOptions(command);
  command.parse(args, { from: "user" });
  const spec = await readJobSpec(
    { ...command.opts(), network: true, idempotencyKey: "key" },
    new FakeTerminal(),
  );
  return toStartRequest(["ls"], spec);
}

Deno.test("start: every option of the queue reaches its field of the request", async () => {
  const request = await requestOf(
    ...["--partition", "gpu", "--account", "physics", "--qos", "high", "--nice", "-5"],
    ...[
      "--cpus",
      "4",
      "--gpus",
      "a100:2",
      "--constraint",
      "ssd&ib",
      "--begin",
      "2026-05-04T14:30Z",
    ],
    ...["--after", "a3c1e8b4", "--after", "nightly", "--queue", "builds"],
  );
  assert.deepEqual(request, {
    ...await requestOf(),
    queue: "builds",
    partition: "gpu",
    account: "physics",
    qos: "high",
    nice: -5,
    cpus: 4,
    gpus: "a100:2",
    constraint: "ssd&ib",
    beginAtMs: Date.UTC(2026, 4, 4, 14, 30),
    after: ["a3c1e8b4", "nightly"],
  });
});

Deno.test("start: without options of the queue the request has none of its fields", async () => {
  assert.deepEqual(
    await requestOf(),
    toStartRequest(["ls"], {
      idempotencyKey: "key",
      labels: {},
      env: {},
    }),
  );
  assert.deepEqual(toQueueFields({ partition: "", after: [], nice: 0 }), { nice: 0 });
});

for (
  const [args, message] of [
    [["--queue", " "], /Expected a text that is not empty/],
    [["--partition", ""], /Expected a text that is not empty/],
    [["--nice", "1.5"], /Expected a whole number such as 100 or -5/],
    [["--nice", "2147483648"], /Expected a whole number such as 100 or -5/],
    [["--cpus", "0"], /Expected a whole number, 1 or more/],
    [["--cpus", "50%"], /Expected a whole number, 1 or more/],
    [["--cpus", "4294967296"], /Expected a whole number, 1 or more/],
    [["--gpus", "0"], /Expected a number, or TYPE:NUMBER, such as 2/],
    [["--gpus", "a100:"], /Expected a number, or TYPE:NUMBER, such as 2/],
    [["--gpus", "2,a100:1"], /Expected a number, or TYPE:NUMBER, such as 2/],
    [["--begin", "soon"], /Expected a time such as 14:30, 2026-05-04T14:30, \+2h or "in 2h"/],
    [["--begin", "in two hours"], /Expected a time such as/],
    [["--begin", "+2x"], /Expected a duration/],
    [["--after", ""], /Expected a job's id or name/],
    [["--after", "prod/nightly"], /Expected a job without a context/],
  ] as const
) {
  Deno.test(`start: "${args.join(" ")}" is refused with what is expected`, async () => {
    await assert.rejects(requestOf(...args), message);
  });
}

for (
  const [text, expected] of [
    ["14:30", new Date(2026, 4, 4, 14, 30)],
    ["9:05:07", new Date(2026, 4, 5, 9, 5, 7)],
    ["10:00:30", new Date(2026, 4, 5, 10, 0, 30)],
    ["10:00:31", new Date(2026, 4, 4, 10, 0, 31)],
    ["2026-12-31", new Date(2026, 11, 31)],
    ["2026-12-31 23:59", new Date(2026, 11, 31, 23, 59)],
    ["2026-12-31T23:59:58", new Date(2026, 11, 31, 23, 59, 58)],
    ["2026-12-31T23:59+02:00", new Date(Date.UTC(2026, 11, 31, 21, 59))],
    ["2024-02-29T00:00Z", new Date(Date.UTC(2024, 1, 29))],
    ["+90s", new Date(NOW_MS + 90_000)],
    ["in 2h", new Date(NOW_MS + 7_200_000)],
  ] as const
) {
  Deno.test(`parseBeginMs: "${text}" is a time`, () => {
    assert.equal(new Date(parseBeginMs(text, NOW_MS)).toISOString(), expected.toISOString());
  });
}

for (
  const text of [
    "",
    "24:00",
    "1430",
    "2h",
    "2026-02-30",
    "2026-13-01",
    "2026-05-04T25:00",
    "2026-05-04T10:00+25:00",
    "2026-05-04Z",
    "+9007199254740991ms",
    "tomorrow",
  ]
) {
  Deno.test(`parseBeginMs: "${text}" is no time`, () => {
    assert.throws(() => parseBeginMs(text, NOW_MS), /^RangeError: Expected a (time|duration) such/);
  });
}

/** Starts a job with these fields on a server that runs jobs by this engine. */
async function startOn(
  engine: string,
  queue: Parameters<typeof toQueueFields>[0],
  { jobsWait = false, startFields = [], openFiles, limits }: {
    jobsWait?: boolean;
    startFields?: string[];
    openFiles?: number | undefined;
    limits?: JobLimits;
  } = {},
) {
  const connection = new FakeConnection((method) =>
    method === "Info" ? { engine, jobsWait, startFields } : { jobID: "x" }
  );
  const open = () => Promise.resolve(connection.asConnection);
  const session = new Session(ENDPOINT, { open });
  const request = toStartRequest(["ls"], { idempotencyKey: "key", queue, openFiles, limits });
  const answer = await startJob(session, request).catch((error: unknown) => error);
  return { answer, calls: connection.calls };
}

Deno.test("startJob: a server without a queue is not sent a start that needs one", async () => {
  const { answer, calls } = await startOn("", { after: ["nightly"] });
  assert(answer instanceof ClientError);
  assert.equal(
    answer.message,
    "Cannot start the job: --after needs a newer server: jobs cannot wait on localhost:1. Upgrade it.",
  );
  assert.equal(answer.exitStatus, 2);
  assert.deepEqual(calls, ["Info"]);
});

Deno.test("startJob: a host has queues and no partitions, a cluster the reverse", async () => {
  const wait = { queue: "builds", after: ["nightly"], beginAtMs: 5 };
  const sent = { answer: "x", calls: ["Info", "Start"] };
  assert.deepEqual(await startOn("", wait, { jobsWait: true }), sent);
  assert.deepEqual(
    await startOn("Slurm 22.05.8", { ...wait, queue: "" }, { jobsWait: true }),
    sent,
  );
  for (
    const [engine, queue, message] of [
      ["", { ...wait, partition: "gpu" }, /--partition needs a server over a cluster/],
      ["Slurm 22.05.8", wait, /--queue is for servers that run jobs on their own host/],
    ] as const
  ) {
    const { answer, calls } = await startOn(engine, queue, { jobsWait: true });
    assert(answer instanceof ClientError);
    assert.match(answer.message, message);
    assert.deepEqual(calls, ["Info"]);
  }
});

Deno.test("startJob: a server over a cluster is, and one without is asked nothing more than before", async () => {
  assert.deepEqual(await startOn("Slurm 22.05.8", { nice: 0 }), {
    answer: "x",
    calls: ["Info", "Start"],
  });
  assert.deepEqual(await startOn("", {}), { answer: "x", calls: ["Start"] });
});

Deno.test("startJob: what a server would ignore is refused, and not promised", async () => {
  const options: [Parameters<typeof toQueueFields>[0], number | undefined, string][] = [
    [{ nice: 5 }, undefined, "nice"],
    [{}, 64, "nofile"],
  ];
  for (const [queue, openFiles, option] of options) {
    const old = await startOn("", queue, { openFiles });
    assert.match(
      (old.answer as Error).message,
      new RegExp(
        `^Cannot start the job: --${option} needs a newer server; localhost:1 would ignore`,
      ),
    );
    assert.deepEqual(old.calls, ["Info"]);
    const startFields = ["nice", "open_files"];
    assert.equal((await startOn("", queue, { openFiles, startFields })).answer, "x");
  }
  const limits = { memoryHighBytes: 2 ** 20 };
  assert.match(
    ((await startOn("", {}, { limits })).answer as Error).message,
    /--memory-high needs a newer server/,
  );
  const startFields = ["limits.memory_high_bytes"];
  assert.equal((await startOn("", {}, { limits, startFields })).answer, "x");
  const cpus = { allowedCpus: "0" };
  assert.match(
    ((await startOn("", {}, { limits: cpus, startFields })).answer as Error).message,
    /--cpus-allowed needs a newer server/,
  );
  assert((await startOn("Slurm 1", {}, { openFiles: 64 })).answer instanceof ClientError);
});

Deno.test("library: the options of the queue are those of the command line", () => {
  const begin = new Date(NOW_MS);
  assert.deepEqual(
    toJobSpec({
      queue: "builds",
      partition: "gpu",
      nice: -5,
      cpus: 2,
      gpus: 1,
      begin,
      after: ["a"],
    }).queue,
    {
      queue: "builds",
      partition: "gpu",
      account: undefined,
      qos: undefined,
      nice: -5,
      cpus: 2,
      gpus: "1",
      constraint: undefined,
      beginAtMs: NOW_MS,
      after: ["a"],
    },
  );
});

const authority = await Authority.create();
const alice = await authority.issue({ name: "alice" });

// deno-lint-ignore no-explicit-any -- what a program without types would hand over
type Anything = any;

for (
  const [options, message] of [
    [{ partition: 5 as Anything }, /partition: expected a string/],
    [{ nice: 1.5 }, /nice 1\.5: expected a whole number from -2147483648/],
    [{ cpus: 0 }, /cpus 0: expected a whole number from 1/],
    [{ gpus: 0 }, /gpus 0: expected a number/],
    [{ begin: new Date(NaN) }, /begin: expected a valid Date/],
    [{ begin: "14:30" as Anything }, /begin: expected a valid Date/],
    [{ after: "nightly" as Anything }, /after: expected an array of jobs/],
    [{ after: [""] }, /which job is meant/],
  ] as readonly (readonly [StartOptions, RegExp])[]
) {
  Deno.test(`library: a start with ${JSON.stringify(options)} is refused without a connection`, async () => {
    const identity = alice.key + alice.cert + authority.cert;
    using client = JobWorkerClient.open({ identity, server: "127.0.0.1:1" });
    await assert.rejects(client.start(["ls"], options), { code: "INVALID_ARGUMENT", message });
  });
}
