import { strict as assert } from "node:assert";
import { type CommandAnswer, WILL_RETRY, wordsOf } from "../../lib/executor/slurm/commands.ts";
import {
  readSubmission,
  submissionArguments,
  type SubmissionRequest,
} from "../../lib/executor/slurm/submission.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { answerOfScript } from "../../lib/shim/shell.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";

const MIB = 1024 ** 2;

const REQUEST: SubmissionRequest = {
  jobId: "fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5",
  folder: "/share/jobs/fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5",
  settings: DEFAULT_SETTINGS,
  limits: {},
  graceMs: 10_000,
  holdsLimits: true,
  after: [],
  nowMs: Date.UTC(2026, 10, 27),
};

function argumentsOf(change: Partial<SubmissionRequest>): string[] {
  return submissionArguments({ ...REQUEST, ...change });
}

Deno.test("submissionArguments: a job has our name, runs once, and leaves nothing of the server's to Slurm", () => {
  assert.deepEqual(argumentsOf({}), [
    "--parsable",
    "--no-requeue",
    "--job-name=fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5",
    "--chdir=/",
    "--output=/share/jobs/fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5/engine.out",
    "--open-mode=append",
    "--export=ALL",
    "--propagate=NONE",
    "--nodes=1",
    "--ntasks=1",
    "--cpus-per-task=1",
  ]);
});

Deno.test("submissionArguments: options of the queue are given as they are", () => {
  const queue = {
    partition: "short",
    account: "lab",
    qos: "low",
    nice: -5,
    cpus: 3,
    gpus: "a100:2",
    constraint: "ssd&ib",
    beginAtMs: Date.UTC(2026, 10, 28, 6, 30) + 1,
    after: [],
  };
  const args = argumentsOf({
    settings: { ...DEFAULT_SETTINGS, queue },
    limits: { cpuCores: 2 },
    after: ["17", "18"],
    account: { uid: 1000, gid: 100 },
  });
  assert.deepEqual(args.slice(10), [
    "--cpus-per-task=3",
    "--uid=1000",
    "--gid=100",
    "--partition=short",
    "--account=lab",
    "--qos=low",
    "--constraint=ssd&ib",
    "--gres=gpu:a100:2",
    "--nice=-5",
    "--begin=2026-11-28T06:30:01",
    "--dependency=afterok:17:18",
  ]);
});

Deno.test("submissionArguments: a time to begin at that is over is left out, since Slurm refuses some", () => {
  const queue = {
    partition: "",
    account: "",
    qos: "",
    cpus: 0,
    gpus: "",
    constraint: "",
    after: [],
    beginAtMs: REQUEST.nowMs,
  };
  assert.equal(argumentsOf({ settings: { ...DEFAULT_SETTINGS, queue } }).length, 11);
});

for (
  const [limits, holdsLimits, expected] of [
    [{ cpuCores: 0.5 }, true, "--cpus-per-task=1"],
    [{ cpuCores: 1.5 }, true, "--cpus-per-task=2"],
    [{ cpuCores: 4 }, false, "--cpus-per-task=4"],
    // Our group holds the job's own memory; what the launcher takes comes on top.
    [{ memoryBytes: 256 * MIB }, true, "--mem=272M"],
    [{ memoryBytes: 256 * MIB }, false, "--mem=256M"],
    [{ memoryBytes: 256 * MIB + 1 }, false, "--mem=256M"],
    [{ memoryBytes: 256 * MIB - 1 }, false, "--mem=255M"],
    // 0 would be all that the node has.
    [{ memoryBytes: MIB - 1 }, false, "--mem=1M"],
  ] as const
) {
  const by = holdsLimits ? "by our groups" : "by Slurm";
  Deno.test(`submissionArguments: ${JSON.stringify(limits)} held ${by} is ${expected}`, () => {
    assert(argumentsOf({ limits, holdsLimits }).includes(expected));
  });
}

Deno.test("submissionArguments: Slurm's time limit is behind the timeout and the grace period", () => {
  const settings = { ...DEFAULT_SETTINGS, timeoutMs: 60_000 };
  assert(argumentsOf({ settings, graceMs: 0 }).includes("--time=3"));
  assert(argumentsOf({ settings, graceMs: 1 }).includes("--time=4"));
});

const refusedWith = (text: string): CommandAnswer => ({ status: 1, text });

Deno.test("readSubmission: a number is taken, also behind a site's own words and with a cluster's name", () => {
  const taken = (text: string) => readSubmission({ status: 0, text });
  assert.deepEqual(taken("7\n"), { kind: "taken", number: "7" });
  assert.deepEqual(taken("sbatch: 42 credits are left\n17;lab\n"), { kind: "taken", number: "17" });
  assert.equal(taken("").kind, "unknown");
});

/** As sbatch of Slurm 22.05.8 prints them. */
for (
  const [text, kind, message] of [
    [
      "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
      "invalid",
      "Cannot start the job: Slurm refused it: invalid partition specified: nope; Invalid partition name specified",
    ],
    [
      "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available\n",
      "invalid",
      "Cannot start the job: Slurm refused it: Memory specification can not be satisfied; Requested node configuration is not available",
    ],
    [
      "sbatch: error: Invalid generic resource (gres) specification\n",
      "invalid",
      "Cannot start the job: Slurm refused it: Invalid generic resource (gres) specification",
    ],
    [
      "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
      "precondition",
      "Cannot start the job: Slurm refused it: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    ],
    [
      "sbatch: error: Batch job submission failed: Access/permission denied\n",
      "precondition",
      "Cannot start the job: Slurm refused it: Access/permission denied",
    ],
  ] as const
) {
  Deno.test(`readSubmission: refused: ${message}`, () => {
    const submission = readSubmission(refusedWith(text));
    assert(submission.kind === "refused");
    assert.equal(submission.error.message, message);
    assert.equal(submission.error.kind, kind);
  });
}

/** As sbatch says them that waits itself, is ended, or gives up. */
for (
  const [text, kind] of [
    [
      "Batch job submission failed: Unable to contact slurm controller (connect failure)",
      "not taken",
    ],
    ["Slurm temporarily unable to accept job, sleeping and retrying", "not taken"],
    ["Slurm job queue full, sleeping and retrying", "not taken"],
    ["Batch job submission failed: Resource temporarily unavailable", "not taken"],
    ["Batch job submission failed: Slurm backup controller in standby mode", "not taken"],
    ["Batch job submission failed: Socket timed out on send/recv operation", "perhaps taken"],
    ["Batch job submission failed: Zero Bytes were transmitted or received", "perhaps taken"],
    ["something that no version has said yet", "unclear"],
    ["", "unclear"],
  ] as const
) {
  Deno.test(`readSubmission: ${kind}: ${JSON.stringify(text)}`, () => {
    const submission = readSubmission(refusedWith(`sbatch: error: ${text}\n`));
    const read = submission.kind === "later"
      ? (submission.mayBeTaken ? "perhaps taken" : "not taken")
      : submission.kind;
    assert.equal(read, kind === "unclear" ? "unknown" : kind);
  });
}

Deno.test("readSubmission: an sbatch that was killed may have handed the job over, whatever it said", () => {
  const text = "sbatch: error: Batch job submission failed: Invalid partition name specified\n";
  for (const said of [text, "sbatch: error: queue full, sleeping and retrying\n", ""]) {
    const { kind, ...rest } = readSubmission({ status: 137, text: said });
    const expected = { problem: "it does not answer", mayBeTaken: true };
    assert.deepEqual([kind, rest], ["later", expected]);
  }
});

Deno.test("scripts.engine: a command, and with it a job, has nothing of the server's environment", async () => {
  const { status, text } = await answerOfScript(
    scripts.engine,
    ["5", "UTC0", "/etc/slurm.conf", "env"],
    { timeoutMs: 10_000 },
  );
  assert.equal(status, 0);
  const names = text.split("\n").map((line) => line.split("=")[0]).filter((name) => name !== "");
  const expected = ["LC_ALL", "PATH", "SLURM_CONF", "TZ"];
  // What shells add by themselves.
  assert.deepEqual(
    names.filter((name) => !["_", "PWD", "OLDPWD", "SHLVL"].includes(`${name}`)).sort(),
    expected,
  );
});

Deno.test("scripts.engine: passes on what a command reads and its status, and kills it when its time is over", async () => {
  const run = (seconds: string, ...words: string[]) =>
    answerOfScript(scripts.engine, [seconds, "UTC0", "", ...words], {
      timeoutMs: 10_000,
      input: "the script\n",
    });
  assert.deepEqual(await run("5", "cat"), { status: 0, text: "the script\n" });
  assert.deepEqual(await run("5", "sh", "-c", "echo no >&2; exit 3"), { status: 3, text: "no\n" });
  assert.equal((await run("5", "job-worker-no-such-program")).status, 127);
  const began = Date.now();
  assert.equal((await run("1", "sh", "-c", "trap '' TERM; sleep 60")).status, 137);
  assert(Date.now() - began < 9000);
});

Deno.test("scripts.engine: is one process with the command, which ends as soon as it has said enough", async () => {
  const text = `echo "$PPID"; cut -d" " -f4 /proc/$PPID/stat; echo ${WILL_RETRY}; exec sleep 60`;
  const began = Date.now();
  const answer = await answerOfScript(scripts.engine, ["50", "UTC0", "", "sh", "-c", text], {
    timeoutMs: 30_000,
    input: "",
    isEnough: (printed) => printed.includes(WILL_RETRY),
  });
  // The parent of timeout(1) is this process: no shell is between.
  const [, parent] = answer.text.split("\n");
  assert.equal(Number(parent), Deno.pid);
  assert.equal(answer.status, 128 + 15);
  assert(Date.now() - began < 25_000);
});

Deno.test("wordsOf: one printable line that is not too long", () => {
  assert.equal(
    wordsOf({ status: 1, text: "sbatch: error: a\u001b[31m\n\nsbatch: b\nb\n" }),
    "a [31m; b",
  );
  assert.equal(wordsOf({ status: 1, text: "" }), "status 1");
  assert.equal(wordsOf({ status: 137, text: "half" }), "it does not answer");
  assert.equal(wordsOf({ status: 1, text: "x".repeat(1000) }).length, 301);
});
