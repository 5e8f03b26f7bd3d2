import { strict as assert } from "node:assert";
import { parseLaunchRecord } from "../../lib/executor/launch_record.ts";
import { entryEnvironment } from "../../lib/executor/job_environment.ts";
import { parseLaunchReport, toLaunchError } from "../../lib/executor/launch_report.ts";
import { DISK_REFUSES, JobError, NO_SPACE } from "../../lib/errors.ts";
import { DEFAULT_SETTINGS, type JobSecrets, type JobSettings } from "../../lib/model/settings.ts";

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

Deno.test("parseLaunchRecord: the main process's start time, where the launcher tells it", () => {
  const begun = `launcher 5498 270688 ${BOOT}\n`;
  const jobOf = (line: string) => parseLaunchRecord(inPlace(begun + line)).job;
  assert.deepEqual(jobOf("job 5499 270690\n"), { pid: 5499, startTime: "270690" });
  assert.deepEqual(jobOf("job 5499\n"), { pid: 5499 });
  assert.equal(jobOf("job 5499 2706"), undefined);
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
    unwrittenBytes: 0,
    unwrittenErrorBytes: 0,
    counters: new Map([["memory.events", "oom_kill 1\n"], ["pids.current", "0\n"]]),
  });
});

Deno.test("parseLaunchRecord: a signal is what the shell has printed a message about", () => {
  const cases: [string, number, boolean][] = [
    ["exit 0\n", 0, false],
    ["exit 143\n", 143, false],
    ["Terminated\nexit 143\n", 143, true],
    ["Segmentation fault (core dumped)\nexit 139\n", 139, true],
    ["sh: line 130:  5499 Killed   ( for g in x; do\n  y\ndone )\nexit 137\n", 137, true],
    // The launcher's own line about the output is no message of the shell's.
    ["unwritten 17\nexit 143\n", 143, false],
    ["unwritten-errors 17\nexit 143\n", 143, false],
    ["unwritten 17\nTerminated\nexit 143\n", 143, true],
    ["Terminated\nunwritten 17\nexit 143\n", 143, true],
    // A message without a status above 128 is about something else.
    ["something\nexit 1\n", 1, false],
  ];
  for (const [text, status, bySignal] of cases) {
    const { exit } = parseLaunchRecord(inPlace(`${BEGUN}${text}end\n`));
    assert.deepEqual([exit?.status, exit?.bySignal], [status, bySignal], text);
  }
});

Deno.test("parseLaunchRecord: how much of the output's end the disk refused", () => {
  for (const [text, expected] of [["", 0], ["unwritten 17\n", 17], ["unwritten x\n", 0]] as const) {
    const { exit } = parseLaunchRecord(inPlace(`${BEGUN}${text}exit 0\nend\n`));
    assert.equal(exit?.unwrittenBytes, expected);
  }
  const text = `${BEGUN}unwritten-errors 5\nunwritten 17\nexit 0\nend\n`;
  const { unwrittenBytes, unwrittenErrorBytes } = parseLaunchRecord(inPlace(text)).exit ?? {};
  assert.deepEqual([unwrittenBytes, unwrittenErrorBytes], [17, 5]);
});

Deno.test("parseLaunchRecord: lines out of order are not read", () => {
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

Deno.test("parseLaunchReport: each refusal says what to do, and shows no path of the host", () => {
  const cases: [string, string, RegExp][] = [
    ["not-found", "invalid", /"ls": no such program.*full path/],
    ["not-executable", "invalid", /"ls": the file is not executable/],
    ["folder", "invalid", /"ls": it is a folder/],
    [
      "launch-record\nrefused No space left on device",
      "exhausted",
      new RegExp(RegExp.escape(NO_SPACE)),
    ],
    [
      "launch-record\nrefused Disk quota exceeded",
      "exhausted",
      new RegExp(RegExp.escape(NO_SPACE)),
    ],
    [
      "launch-record\nrefused Read-only file system",
      "precondition",
      new RegExp(RegExp.escape(`Cannot start the job. ${DISK_REFUSES}`)),
    ],
    ["launch-record\nrefused Input/output error", "precondition", /it is read-only, or fails/],
    [
      "launch-record\nrefused No such file or directory",
      "precondition",
      /removed meanwhile.*again/,
    ],
    ["launch-record\nrefused Directory nonexistent", "precondition", /removed meanwhile/],
    [
      "launch-record\nrefused Permission denied",
      "precondition",
      /refuses a file: Permission denied/,
    ],
    ["launch-record\nrefused ", "precondition", /refuses a file: no reason given/],
    [
      "limit\nrefused /sys/fs/cgroup/memory/job-worker/x/memory.max\nrefused 5\nrefused Invalid argument",
      "precondition",
      /kernel refused memory\.max = 5: Invalid argument/,
    ],
    ["step", "precondition", /ProctrackType=proctrack\/cgroup/],
    ["controller\nrefused io", "precondition", /no io controller.*"max"/],
    ["file\nrefused secrets", "precondition", /did not come to its node/],
    ["stopped", "precondition", /stopped before its command began/],
    ["launcher\nrefused 137", "precondition", /launcher was killed before/],
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

Deno.test("parseLaunchReport: what was found about the program is told where the launcher says that it holds", () => {
  const error = new JobError("invalid", "x");
  const errorOf = (text: string, found?: JobError) => {
    const report = parseLaunchReport(text, "ls", found);
    assert(report.kind === "refused");
    return report.error;
  };
  assert.equal(errorOf("refused program\n", error), error);
  assert.equal(errorOf("refused program\n").kind, "internal");
  assert.match(errorOf("refused not-found\n", error).message, /no such program/);
});

Deno.test("parseLaunchReport: an empty report and junk are the launcher's failure, never a start", () => {
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

Deno.test("toLaunchError: what Linux says of a process that it does not make becomes what to do", () => {
  const cases: [error: unknown, kind: string, message: RegExp][] = [
    [new Error("Argument list too long (os error 7)"), "invalid", /too long for Linux/],
    [Object.assign(new Error("spawn"), { code: "E2BIG" }), "invalid", /too long for Linux/],
    [new Error("Resource temporarily unavailable (os error 11)"), "exhausted", /no room/],
    [new Error("Cannot allocate memory (os error 12)"), "exhausted", /no room/],
    [Object.assign(new Error("spawn"), { code: "EAGAIN" }), "exhausted", /no room/],
    [Object.assign(new Error("spawn"), { code: "ENOMEM" }), "exhausted", /no room/],
  ];
  for (const [error, kind, message] of cases) {
    const launchError = toLaunchError(error);
    assert(launchError instanceof JobError);
    assert.equal(launchError.kind, kind);
    assert.match(launchError.message, message);
  }
});

Deno.test("toLaunchError: any other error stays what it is", () => {
  const errors = [
    new JobError("precondition", "x"),
    new Error("(os error 1)"),
    new Error("(os error 70)"),
    new Error("(os error 112)"),
    new Deno.errors.NotFound("x"),
    Object.assign(new Error("x"), { code: "ENOENT" }),
  ];
  for (const error of errors) assert.equal(toLaunchError(error), error);
});

/** What a job asks for; the defaults where nothing is said. */
async function environmentOf(
  settings: Partial<JobSettings> = {},
  secrets: Partial<JobSecrets> = {},
  folder = "/no/folder",
): Promise<Record<string, string>> {
  return await entryEnvironment({
    folder,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    secrets: { environment: {}, input: new Uint8Array(), ...secrets },
  });
}

Deno.test("entryEnvironment: a job with the defaults costs nothing more", async () => {
  assert.deepEqual(await environmentOf(), {});
  assert.deepEqual(await environmentOf({ queue: { nice: 0 } }), {});
});

Deno.test("entryEnvironment: each setting and secret alone is handed over", async () => {
  const isolation = DEFAULT_SETTINGS.isolation;
  const cases: [Partial<JobSettings>, name: string, value: string][] = [
    [{ user: "nobody" }, "job_worker_user", "nobody"],
    [{ umask: 0o7 }, "job_worker_umask", "007"],
    [{ workingDirectory: "/tmp" }, "job_worker_folder", "/tmp"],
    [{ openFiles: 64 }, "job_worker_open_files", "64"],
    [{ queue: { nice: 5 } }, "job_worker_priority", "5"],
    [{ isolation: { ...isolation, privateTmp: true } }, "job_worker_isolation", "tmp"],
    [{ isolation: { ...isolation, noNetwork: true } }, "job_worker_isolation", "network"],
    [{ isolation: { ...isolation, ownProcesses: true } }, "job_worker_isolation", "processes"],
  ];
  for (const [settings, name, value] of cases) {
    const environment = await environmentOf(settings);
    assert.equal(environment[name], value);
    assert(environment["job_worker_enter"] !== undefined);
    assert.equal(environment["job_worker_input"], "");
  }
  const variables = await environmentOf({}, { environment: { A: "1", job_worker_user: "x\ny" } });
  assert.equal(variables["job_worker_names"], "A");
  assert.equal(variables["job_worker_env_A"], "1");
  assert.equal(variables["job_worker_others"], "1");
  assert.equal(variables["job_worker_other_1"], "job_worker_user=x\ny");
  assert.equal(variables["job_worker_user"], "", "root, the default, is asked for by nothing");
});

Deno.test("entryEnvironment: an input that comes later has a folder that nobody but root enters", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-input-" });
  try {
    const environment = await environmentOf({ openStdin: true }, {}, folder);
    assert.equal(environment["job_worker_input"], "stream");
    const { mode } = await Deno.stat(`${folder}/stdin`);
    assert.equal((mode ?? 0) & 0o777, 0o700);
    assert.equal((await Deno.stat(`${folder}/stdin/0`)).size, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("entryEnvironment: input becomes a file that nobody but root writes, and that was not there", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-input-" });
  try {
    const input = new TextEncoder().encode("secret");
    assert.equal((await environmentOf({}, { input }, folder))["job_worker_input"], "file");
    const { mode } = await Deno.stat(`${folder}/input`);
    assert.equal((mode ?? 0) & 0o777, 0o444);
    assert.deepEqual(await Deno.readFile(`${folder}/input`), input);
    await assert.rejects(environmentOf({}, { input }, folder), Deno.errors.AlreadyExists);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
