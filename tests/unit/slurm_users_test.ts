/** Jobs that run as users of their own on a cluster: what those put in the place of their jobs' files. */
// Attacks: a job's user forges what the server reads of the job on the shared file system.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { answerTo } from "../../lib/executor/slurm/control.ts";
import { readNodeFile } from "../../lib/executor/slurm/node_file.ts";
import { readNodeRecord } from "../../lib/executor/slurm/node_record.ts";
import { JobFolders } from "../../lib/job/folder.ts";
import { OutputLog } from "../../lib/logs.ts";
import { ForgedFileError, RegularFile, replaceFile } from "../../lib/regular_file.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FAKE_USER, FakeNode, FakeSlurm } from "../support/fake_slurm.ts";
import { assertJobError } from "../support/job_errors.ts";
import { run } from "../support/run.ts";

const RULES = { maxBytes: 1000 };

/** Tests that need to give files to others. */
const ignore = Deno.uid() !== 0;

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-node-file-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readNodeFile: reads a file, and says when there is none", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "file");
    assert.equal(await readNodeFile(path, RULES), undefined);
    await Deno.writeTextFile(path, "text\n");
    assert.equal((await readNodeFile(path, RULES))?.text, "text\n");
  });
});

for (
  const [what, found, make] of [
    ["a link", "a symbolic link", (path) => Deno.symlink("/etc/passwd", path)],
    ["a link to nowhere", "a symbolic link", (path) => Deno.symlink("/nowhere", path)],
    ["a folder", "no regular file", (path) => Deno.mkdir(path)],
    ["a pipe that nobody writes to", "no regular file", async (path) => {
      assert.equal((await run("mkfifo", [path])).code, 0);
    }],
    ["a device", "a symbolic link", (path) => Deno.symlink("/dev/zero", path)],
    ["a socket", "no regular file", async (path) => {
      const listener = Deno.listen({ transport: "unix", path: `${path}.new` });
      await Deno.rename(`${path}.new`, path);
      listener.close();
    }],
    ["a file with two names", "a file with another name", async (path) => {
      await Deno.writeTextFile(`${path}.other`, "");
      await Deno.link(`${path}.other`, path);
    }],
    ["more than fits into memory", "a file of more than 1000 bytes", async (path) => {
      using file = await Deno.create(path);
      await file.truncate(2 ** 40);
    }],
  ] as readonly (readonly [string, string, (path: string) => Promise<void>])[]
) {
  Deno.test(`readNodeFile: ${what} is not read, and holds nobody up`, async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "launch");
      await make(path);
      await assert.rejects(readNodeFile(path, RULES), new ForgedFileError(found));
      const record = await readNodeRecord(folder, { commandName: "true" });
      // A record may be larger.
      if (!what.startsWith("more")) assert.equal(record?.forged, found);
      assert.equal(record?.ending, undefined);
    });
  });
}

Deno.test("readNodeFile: a file that is removed while it is opened is not there, and no forgery", () =>
  inFolder(async (folder) => {
    const path = join(folder, "launch");
    await Deno.writeTextFile(path, "text");
    const { status } = RegularFile.prototype;
    // Injected: the job removes it between the opening and the look at what was opened.
    RegularFile.prototype.status = async function () {
      await Deno.remove(path);
      return await status.call(this);
    };
    try {
      assert.equal(await readNodeFile(path, RULES), undefined);
    } finally {
      RegularFile.prototype.status = status;
    }
  }));

Deno.test({
  name: "readNodeFile: a file of a third user is not read; those of the job's user and of root are",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const path = join(folder, "launch");
      await Deno.writeTextFile(path, "text");
      const read = async () => (await readNodeFile(path, { ...RULES, owner: 1000 }))?.text;
      assert.equal(await read(), "text");
      await Deno.chown(path, 1000, 1000);
      assert.equal(await read(), "text");
      await Deno.chown(path, 1001, 1001);
      await assert.rejects(read, new ForgedFileError("a file of another user's"));
    }),
});

Deno.test("readNodeFile: no time to come is believed", () =>
  inFolder(async (folder) => {
    const path = join(folder, "launch");
    await Deno.writeTextFile(path, "");
    await Deno.utime(path, 4_000_000_000, 4_000_000_000);
    const { writtenAtMs } = await readNodeFile(path, RULES) ?? {};
    assert(writtenAtMs !== undefined && writtenAtMs <= Date.now(), String(writtenAtMs));
  }));

Deno.test("replaceFile: a link in the file's place is replaced, and not written through", () =>
  inFolder(async (folder) => {
    const [path, victim] = [join(folder, "control"), join(folder, "victim")];
    await Deno.writeTextFile(victim, "precious");
    await Deno.symlink(victim, path);
    await replaceFile(path, "1 kill\n", { mode: 0o644 });
    assert.equal(await Deno.readTextFile(victim), "precious");
    assert.equal(await Deno.readTextFile(path), "1 kill\n");
  }));

for (
  const [what, make] of [
    ["a link to a secret of the server's host", (path) => Deno.symlink("/etc/passwd", path)],
    ["a pipe that nobody writes to", async (path) => {
      assert.equal((await run("mkfifo", [path])).code, 0);
    }],
  ] as readonly (readonly [string, (path: string) => Promise<void>])[]
) {
  Deno.test(`OutputLog: ${what} in the place of an output is not read`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "output");
      await make(path);
      const gapsPath = join(folder, "gaps");
      const timesPath = join(folder, "times");
      const output = new OutputLog(path, { firstOffset: 0, finished: true, gapsPath, timesPath });
      const read = () =>
        Array.fromAsync(output.read({ follow: false }, new AbortController().signal));
      await assertJobError(read(), "precondition", /something else is in the place of its file/);
    }));
}

/** Open files that this process may have while a folder is removed in which more folders are nested. */
const FEW_DESCRIPTORS = 500;

const NEST = `chdir $ARGV[0]; for (1..${
  2 * FEW_DESCRIPTORS
}) { mkdir "d" and chdir "d" or die $! }`;

/** Sets the soft limit of open files. @returns What it was. */
async function limitDescriptors(limit: string): Promise<string> {
  const own = ["--pid", String(Deno.pid)];
  const before = await run("prlimit", [...own, "--nofile", "--output", "SOFT", "--noheadings"]);
  assert.equal((await run("prlimit", [...own, `--nofile=${limit}:`])).code, 0);
  return before.stdout.trim();
}

Deno.test("JobFolders: folders that a job has nested deeply take no descriptors and no stack to remove", () =>
  inFolder(async (parent) => {
    const folders = new JobFolders(parent, "polling");
    const id = crypto.randomUUID();
    const folder = folders.pathOf(id);
    await Deno.mkdir(folder, { recursive: true });
    const made = await run("perl", ["-e", NEST, folder]);
    assert.equal(made.code, 0, made.stderr);
    await Deno.symlink("/etc/passwd", join(folder, "link"));
    const before = await limitDescriptors(String(FEW_DESCRIPTORS));
    try {
      await folders.remove(id);
    } finally {
      await limitDescriptors(before);
    }
    assert.deepEqual([...Deno.readDirSync(join(parent, "jobs"))], []);
    assert((await Deno.stat("/etc/passwd")).isFile);
    await folders.remove(id);
  }));

/** A Slurm, and a server that runs jobs as their users. */
async function forUsers(): Promise<FakeSlurm> {
  const slurm = await FakeSlurm.make();
  slurm.isForUsers = true;
  await slurm.restart();
  return slurm;
}

const settings = { ...DEFAULT_SETTINGS, user: "alice" };

/** A job of alice's that was handed over, and what its node writes. */
async function submitted(slurm: FakeSlurm) {
  const handle = slurm.executor.plan("", {}, settings);
  const request = await slurm.request({ settings, handle });
  const nodeFolder = join(request.folder, "node");
  const tracked = await slurm.executor.submit(request);
  return { request, nodeFolder, node: new FakeNode({ folder: nodeFolder }), ...tracked };
}

Deno.test("SlurmExecutor: a job's user gets a folder within the job's, which is not his, and his own group", async () => {
  await using slurm = await forUsers();
  const { request, nodeFolder } = await submitted(slurm);
  const { uid, gid } = FAKE_USER;
  const [call = ""] = slurm.callsOf("sbatch");
  assert(call.endsWith(` --uid=${uid} --gid=${gid}`), call);
  assert(call.includes(`--output=${nodeFolder}/engine.out`), call);
  const statusOf = async (path: string) => {
    const { uid: owner, mode } = await Deno.lstat(path);
    return [owner, (mode ?? 0) & 0o7777];
  };
  const own = Deno.uid();
  assert.deepEqual(await statusOf(request.folder), [own, 0o711]);
  assert.deepEqual(await statusOf(nodeFolder), [uid, 0o700]);
  assert.deepEqual(await statusOf(join(request.folder, "output")), [uid, 0o644]);
  assert.deepEqual(await statusOf(join(request.folder, "gaps")), [uid, 0o600]);
  assert.deepEqual(await statusOf(join(slurm.folder, "jobs")), [own, 0o711]);
});

Deno.test("SlurmExecutor: no job runs as root, or as a user whom the host does not know, by a user map", async () => {
  await using slurm = await forUsers();
  const submit = async (user: string) => {
    const asked = { ...settings, user };
    const handle = slurm.executor.plan("", {}, asked);
    return await slurm.executor.submit(await slurm.request({ settings: asked, handle }));
  };
  await assertJobError(submit("toor"), "precondition", /toor is root/);
  await assertJobError(submit("eve"), "precondition", /has no user eve, whom its user map names/);
  slurm.failures.set("getent", { status: 137, text: "" });
  await assertJobError(submit("alice"), "unavailable", /cannot look up the user alice now/);
  assert.deepEqual(slurm.callsOf("sbatch"), []);
});

Deno.test("SlurmExecutor: an end that the job's user writes counts when Slurm says so too", async () => {
  await using slurm = await forUsers();
  const { request, node, whenBegun, ended } = await submitted(slurm);
  let isOver = false;
  void ended.then(() => isOver = true);
  node.begin();
  slurm.say(request.jobId, "RUNNING");
  await slurm.inTime("the beginning", whenBegun);
  node.end(0);
  await slurm.pass(60_000);
  assert(!isOver, "an end was believed while Slurm says that the job runs");
  slurm.say(request.jobId, "COMPLETING");
  await slurm.pass(5000);
  assert(!isOver, "an end was believed while Slurm ends the job's processes");
  slurm.say(request.jobId, "COMPLETED");
  assert.equal((await slurm.inTime("the end", ended)).kind, "exited");
});

Deno.test("SlurmExecutor: a job that the site's Slurm would run again, since it has exited so, is taken away, and its end told", async () => {
  await using slurm = await forUsers();
  const { request, node, ended } = await submitted(slurm);
  node.begin();
  node.end(7);
  slurm.say(request.jobId, "SPECIAL_EXIT", { reason: "JobHeldUser" });
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "exited");
  assert.equal(ending.exitCode, 7);
  assert.equal(slurm.jobs.get(request.jobId)?.state, "CANCELLED");
});

Deno.test("SlurmExecutor: while Slurm cannot be asked, no end that a job's user writes is believed", async () => {
  await using slurm = await forUsers();
  using _log = new CapturedLog();
  const { request, node, whenBegun, ended } = await submitted(slurm);
  let isOver = false;
  void ended.then(() => isOver = true);
  node.begin();
  slurm.say(request.jobId, "RUNNING");
  await slurm.inTime("the beginning", whenBegun);
  // One answer lacks the job: the controller has lost it, and is told again by its node.
  slurm.jobs.delete(request.jobId);
  const isMissing = () => slurm.executor.statuses([request.jobId])[0] === undefined;
  await slurm.until("an answer without the job", isMissing);
  slurm.failures.set("squeue", { status: 1, text: "" });
  node.end(0);
  await slurm.pass(60_000);
  assert(!isOver);
  slurm.failures.clear();
  await slurm.inTime("the end", ended);
});

Deno.test("SlurmExecutor: a stranger's job with our job's name neither keeps it, nor ends it", async () => {
  await using slurm = await forUsers();
  const { request, node, whenBegun, ended } = await submitted(slurm);
  node.begin();
  slurm.say(request.jobId, "RUNNING");
  await slurm.inTime("the beginning", whenBegun);
  const real = slurm.jobs.get(request.jobId);
  assert(real);
  slurm.jobs.set(request.jobId, { ...real, uid: "4000000", state: "COMPLETED" });
  node.end(3);
  // Slurm does not have alice's job any more: the stranger's says nothing of it.
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "exited" && ending.exitCode === 3);
  assert.deepEqual(slurm.executor.statuses([request.jobId]), [undefined]);
});

Deno.test("SlurmExecutor: a record that its user has replaced says nothing; Slurm's word ends the job as lost", async () => {
  await using slurm = await forUsers();
  using log = new CapturedLog();
  const { request, nodeFolder, ended } = await submitted(slurm);
  await Deno.symlink("/etc/passwd", join(nodeFolder, "launch"));
  slurm.say(request.jobId, "RUNNING");
  await slurm.pass(5000);
  slurm.say(request.jobId, "COMPLETED");
  const ending = await slurm.inTime("the end", ended);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /a symbolic link is in the place of its launch record/);
  assert.equal(log.messages("warn").filter((text) => /in the place of/.test(text)).length, 1);
});

Deno.test("SlurmExecutor: a later server finds a job of a user by the owner of its folder", async () => {
  await using slurm = await forUsers();
  const { request, node } = await submitted(slurm);
  node.begin();
  slurm.say(request.jobId, "RUNNING");
  await slurm.restart();
  const adoptions = await slurm.inTime(
    "the adoption",
    slurm.executor.adopt([slurm.adoption(request, "starting")]),
  );
  const adoption = adoptions.get(request.jobId);
  assert(adoption?.kind === "tracked");
  slurm.say(request.jobId, "COMPLETED");
  node.end(4);
  const ending = await slurm.inTime("the end", adoption.ended);
  assert(ending.kind === "exited" && ending.exitCode === 4);
});

Deno.test("SlurmExecutor: a start that had not come to its user's folder never began", async () => {
  await using slurm = await forUsers();
  const handle = slurm.executor.plan("", {}, settings);
  const request = await slurm.request({ settings, handle });
  await slurm.restart();
  const adoptions = await slurm.inTime(
    "the adoption",
    slurm.executor.adopt([slurm.adoption(request, "starting")]),
  );
  assert.equal(adoptions.get(request.jobId)?.kind, "never-started");
});

Deno.test("SlurmExecutor: a server without the user map does not take jobs of users for its own", async () => {
  await using slurm = await forUsers();
  const { request } = await submitted(slurm);
  slurm.isForUsers = false;
  await slurm.restart();
  await assert.rejects(
    slurm.executor.adopt([slurm.adoption(request, "pending")]),
    /1 jobs on record run as users of a user map .*--user-map until they have/,
  );
});

Deno.test("SlurmExecutor: a stop of a user's job tells his listener, and cancels his job alone", async () => {
  await using slurm = await forUsers();
  using _log = new CapturedLog();
  const { request, nodeFolder, node, whenBegun } = await submitted(slurm);
  node.begin();
  slurm.say(request.jobId, "RUNNING");
  await slurm.inTime("the beginning", whenBegun);
  const stopped = slurm.executor.stop(request, { signal: "TERM", killAtMs: 1e15 });
  const order = join(request.folder, "control");
  await slurm.until("the order", () => Deno.stat(order).then(() => true, () => false));
  assert.match(await Deno.readTextFile(order), /^1 stop TERM /);
  assert.equal((await Deno.stat(order)).mode! & 0o777, 0o644);
  const [call = ""] = slurm.callsOf("scancel");
  assert(call.endsWith(`--name=${request.jobId} --user=${FAKE_USER.uid}`), call);
  await Deno.writeTextFile(join(nodeFolder, "control.done"), "1 reached\n");
  assert.equal(await answerTo(nodeFolder, 1), "reached");
  await slurm.inTime("the stop", stopped);
});
