/**
 * What becomes of the jobs that an earlier server left. Control groups are faked by plain folders
 * (tests/support/fake_groups.ts); launchers by processes that do nothing, and launch records that the
 * test writes in their place.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { AdoptedJobs, type AdoptionTimes } from "../../lib/executor/adoption.ts";
import type { LeftJob, Outcome } from "../../lib/executor/left_job.ts";
import type { Ending } from "../../lib/model/ending.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { IdleProcess } from "../support/idle_process.ts";
import { ScriptsUnderWay } from "../support/scripts_under_way.ts";
import { isSettled } from "../support/settled.ts";
import { inTime, until } from "../support/wait.ts";

const BOOT = "9832c91b-1028-4bb3-bf34-8aefaa8b0122";
const OTHER_BOOT = "11111111-1028-4bb3-bf34-8aefaa8b0122";
const END = "exit 7\ncounter memory.events\noom_kill 1\nend\n";
/** How long an adoption may take, or an end, that has nothing to wait for. */
const DEADLINE_MS = 2000;

/** No process has this start time. */
const GONE = { pid: 1, startTime: "1" };

/** A host with jobs that an earlier server left, and the server that adopts them. */
class Host implements AsyncDisposable {
  readonly #groups: FakeGroups;
  readonly #adopted: AdoptedJobs;
  readonly #launchers: IdleProcess[] = [];
  readonly #scripts = new ScriptsUnderWay();

  private constructor(groups: FakeGroups, times: AdoptionTimes) {
    this.#groups = groups;
    this.#adopted = new AdoptedJobs(BOOT, times);
  }

  static async make(times: Partial<AdoptionTimes> = {}): Promise<Host> {
    const all = { checkIntervalMs: 20, firstLineTimeoutMs: 30, settleTimeoutMs: 1e9, ...times };
    return new Host(await FakeGroups.make(), all);
  }

  /** A process that stands for a launcher. It lives until the host does not watch any more. */
  launcher(): IdleProcess {
    const launcher = new IdleProcess();
    this.#launchers.push(launcher);
    return launcher;
  }

  /** Makes a job's folder, with this launch record in it, and its group. */
  async job(
    jobId: string,
    { record, ...options }: { record?: string; wasRunning?: boolean; populated?: boolean } = {},
  ): Promise<LeftJob> {
    const { wasRunning = true, populated = false } = options;
    const folder = this.#groups.path(`job-${jobId}`);
    await Deno.mkdir(folder);
    if (record !== undefined) await writeRecord(folder, record);
    return { jobId, folder, wasRunning, placement: await this.#groups.place(jobId, { populated }) };
  }

  /** Says whether a process of a job is left. */
  async setPopulated({ placement }: LeftJob, isPopulated: boolean): Promise<void> {
    await this.#groups.setPopulated(placement, isPopulated);
  }

  async adopt(request: LeftJob): Promise<Outcome> {
    const adoption = (await this.adoptAll([request])).get(request.jobId);
    assert(adoption !== undefined);
    return adoption;
  }

  async adoptAll(requests: readonly LeftJob[]): Promise<Map<string, Outcome>> {
    return await inTime("the adoption", this.#adopted.adopt(requests), DEADLINE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#adopted.close();
    await this.#scripts.ended();
    this.#scripts[Symbol.dispose]();
    for (const launcher of this.#launchers) await launcher[Symbol.asyncDispose]();
    await this.#groups[Symbol.asyncDispose]();
  }
}

/** Writes as a launcher does: in place, into blanks. */
async function writeRecord(folder: string, text: string): Promise<void> {
  await Deno.writeTextFile(join(folder, "launch"), text.padEnd(4096));
}

function launcherLine({ pid, startTime }: { pid: number; startTime: string }, boot = BOOT): string {
  return `launcher ${pid} ${startTime} ${boot}\n`;
}

async function lineOf(launcher: IdleProcess): Promise<string> {
  return launcherLine({ pid: launcher.pid, startTime: await launcher.startTime() });
}

/** Asserts that a job's group was removed. */
function assertRemoved({ placement }: LeftJob): void {
  for (const group of placement.groups) {
    assert.throws(() => Deno.statSync(group), Deno.errors.NotFound);
  }
}

/** How a running job ends, which is to be soon. */
async function endOf(adoption: Outcome): Promise<Ending> {
  assert(adoption.kind === "running", adoption.kind);
  return await inTime("the ending", adoption.ended, DEADLINE_MS);
}

async function assertNeverStarted(host: Host, request: LeftJob): Promise<void> {
  assert.deepEqual(await host.adopt(request), { kind: "never-started" });
  assertRemoved(request);
}

/** Asserts that a job is lost: how it ended cannot be known. */
async function assertLost(host: Host, request: LeftJob, reason: RegExp): Promise<void> {
  const adoption = await host.adopt(request);
  assert(adoption.kind === "ended", adoption.kind);
  assert(adoption.ending.kind === "lost", adoption.ending.kind);
  assert.match(adoption.ending.reason, reason);
  assertRemoved(request);
}

Deno.test("adopt: a start without a launch record is withdrawn, and no launcher can begin it any more", async () => {
  await using host = await Host.make();
  const job = await host.job("a", { wasRunning: false });
  await assertNeverStarted(host, job);
  const record = await Deno.readTextFile(join(job.folder, "launch"));
  assert.equal(record, "withdrawn\n");
  await assert.rejects(Deno.open(join(job.folder, "launch"), { createNew: true, write: true }));
});

Deno.test("adopt: a start that an earlier server has withdrawn never started, and is not waited for", async () => {
  await using host = await Host.make({ firstLineTimeoutMs: 1e9 });
  const job = await host.job("a", { wasRunning: false });
  await Deno.writeTextFile(join(job.folder, "launch"), "withdrawn\n");
  await assertNeverStarted(host, job);
});

Deno.test("adopt: a start whose folder is gone never started", async () => {
  await using host = await Host.make();
  const job = await host.job("a", { wasRunning: false });
  await Deno.remove(job.folder);
  await assertNeverStarted(host, job);
});

Deno.test("adopt: a start whose launch record is empty or half a line never started", async () => {
  for (const record of ["", "\0\0", "launcher 12 34", `launcher 12 34 ${BOOT}`]) {
    await using host = await Host.make();
    await assertNeverStarted(host, await host.job("a", { wasRunning: false, record }));
  }
});

Deno.test("adopt: a start whose launcher is gone, or of another boot, never started", async () => {
  for (const line of [launcherLine(GONE), launcherLine(GONE, OTHER_BOOT)]) {
    await using host = await Host.make();
    const job = await host.job("a", { wasRunning: false, record: line });
    await assertNeverStarted(host, job);
    assert.match(await Deno.readTextFile(join(job.folder, "launch")), /^launcher /);
  }
});

Deno.test("adopt: a process that entered the group of a start that never started is killed", async () => {
  await using host = await Host.make();
  await using process = new IdleProcess();
  const job = await host.job("a", { wasRunning: false, record: launcherLine(GONE) });
  await Deno.writeTextFile(join(job.placement.tracker, "cgroup.procs"), `${process.pid}\n`);
  assert.deepEqual(await host.adopt(job), { kind: "never-started" });
  assert.equal(await process.signal(), "SIGKILL");
});

Deno.test("adopt: a launcher that is about to write its first line, and the job's, is waited for", async () => {
  await using host = await Host.make();
  const launcher = host.launcher();
  const line = await lineOf(launcher);
  const job = await host.job("a", { wasRunning: false, record: "" });
  const texts = [line, `${line}job 5499\n`];
  const { readTextFileSync } = Deno;
  // The launcher writes each line right after the server has read the record without it.
  Deno.readTextFileSync = (path) => {
    const text = readTextFileSync(path);
    const next = texts.shift();
    if (next !== undefined) Deno.writeTextFileSync(path, next.padEnd(4096));
    return text;
  };
  try {
    const adoption = await host.adopt(job);
    assert(adoption.kind === "running", adoption.kind);
    assert.equal(adoption.pid, 5499);
    assert.deepEqual(texts, []);
  } finally {
    Deno.readTextFileSync = readTextFileSync;
  }
});

Deno.test("adopt: a launcher that refuses its job and exits is waited for", async () => {
  await using host = await Host.make();
  await using other = await Host.make();
  const launcher = host.launcher();
  const record = await lineOf(launcher);
  const job = await host.job("a", { wasRunning: false, record });
  let isSettled = false;
  const adopting = host.adopt(job).finally(() => isSettled = true);
  // Takes the same steps, and more.
  await assertNeverStarted(other, await other.job("b", { wasRunning: false, record: "" }));
  assert(!isSettled, "a launcher that is alive may still start its job");
  await launcher[Symbol.asyncDispose]();
  assert.deepEqual(await adopting, { kind: "never-started" });
});

Deno.test("adopt: an ending that is recorded holds, whatever has become of the launcher", async () => {
  for (const wasRunning of [true, false]) {
    for (const line of [launcherLine(GONE), launcherLine(GONE, OTHER_BOOT)]) {
      await using host = await Host.make();
      const job = await host.job("a", { wasRunning, record: `${line}job 5499\n${END}` });
      const adoption = await host.adopt(job);
      assert(adoption.kind === "ended");
      const { ending, pid } = adoption;
      assert(ending.kind === "exited");
      assert.deepEqual([pid, ending.exitCode, ending.signal, ending.oomKilled], [5499, 7, 0, true]);
      const { mtime } = await Deno.stat(join(job.folder, "launch"));
      assert.equal(ending.endedAtMs, mtime?.getTime());
      assertRemoved(job);
    }
  }
});

Deno.test("adopt: a job that ran when the host went down is lost, started or about to be", async () => {
  for (const wasRunning of [true, false]) {
    await using host = await Host.make();
    const launcher = host.launcher();
    const { pid } = launcher;
    // The same process id and start time may well exist again in another boot.
    const line = launcherLine({ pid, startTime: await launcher.startTime() }, OTHER_BOOT);
    const job = await host.job("a", { wasRunning, record: `${line}job 5499\nexit 0\nen` });
    await assertLost(host, job, /host went down/);
  }
});

Deno.test("adopt: a job of another boot is lost with the host where its launch record went, too", async () => {
  for (const record of [undefined, "", launcherLine(GONE, OTHER_BOOT)]) {
    await using host = await Host.make({ firstLineTimeoutMs: 60_000 });
    const job = await host.job("a", record === undefined ? {} : { record });
    const placement = { ...job.placement, bootId: OTHER_BOOT };
    await assertLost(host, { ...job, placement }, /host went down/);
  }
});

Deno.test("adopt: a job that ran and has no launch record, or a damaged one, is lost", async () => {
  for (const record of [undefined, "", "withdrawn\n", "junk\njob 1\n", launcherLine(GONE)]) {
    await using host = await Host.make();
    const job = await host.job("a", record === undefined ? {} : { record });
    await assertLost(host, job, /damaged or removed/);
  }
  await using host = await Host.make();
  const job = await host.job("a");
  await Deno.remove(job.folder);
  await assertLost(host, job, /damaged or removed/);
});

Deno.test("adopt: a job whose launcher is alive goes on, and its end is learnt from the record", async () => {
  // With so long an interval only the record itself can tell.
  await using host = await Host.make({ checkIntervalMs: 1e9 });
  const launcher = host.launcher();
  const begun = `${await lineOf(launcher)}job 5499\n`;
  const job = await host.job("a", { record: begun, populated: true });
  const adoption = await host.adopt(job);
  assert(adoption.kind === "running");
  assert.equal(adoption.pid, 5499);
  await writeRecord(job.folder, `${begun}exit 3\n`);
  await host.setPopulated(job, false);
  await writeRecord(job.folder, `${begun}Terminated\nexit 143\nend\n`);
  const ending = await endOf(adoption);
  assert(ending.kind === "exited");
  assert.deepEqual([ending.exitCode, ending.signal], [143, 15]);
});

Deno.test("adopt: the end of each of many jobs is its own", async () => {
  await using host = await Host.make({ checkIntervalMs: 1e9 });
  const launcher = host.launcher();
  const begun = (number: number, line: string) => `${line}job ${number}\n`;
  const line = await lineOf(launcher);
  const numbers = [1, 2, 3, 4, 5];
  const jobs = await Promise.all(
    numbers.map((number) => host.job(`${number}`, { record: begun(number, line) })),
  );
  const adoptions = await host.adoptAll(jobs);
  for (const number of numbers.toReversed()) {
    const job = jobs[number - 1];
    const adoption = adoptions.get(`${number}`);
    assert(job !== undefined && adoption?.kind === "running");
    assert.equal(adoption.pid, number);
    await writeRecord(job.folder, `${begun(number, line)}exit ${number}\nend\n`);
    const ending = await endOf(adoption);
    assert.equal(ending.kind === "exited" && ending.exitCode, number);
  }
});

Deno.test("adopt: a job outlives its killed launcher, and is lost when its last process ends", async () => {
  await using host = await Host.make();
  const record = `${launcherLine(GONE)}job 5499\n`;
  const busy = await host.job("busy", { record, populated: true });
  const empty = await host.job("empty", { record });
  const adoptions = await host.adoptAll([busy, empty]);
  const [first, second] = [adoptions.get("busy"), adoptions.get("empty")];
  assert(first?.kind === "running" && second?.kind === "running");
  let hasEnded = false;
  const ended = first.ended.finally(() => hasEnded = true);
  // One check is for both.
  assert.equal((await endOf(second)).kind, "lost");
  assert(!hasEnded, "a process of the job is left");
  await host.setPopulated(busy, false);
  const ending = await inTime("the ending", ended, DEADLINE_MS);
  assert(ending.kind === "lost");
  assert.match(ending.reason, /launcher was killed/);
  assertRemoved(busy);
});

Deno.test("adopt: a launcher that is killed later is found by a later check", async () => {
  await using host = await Host.make();
  const launcher = host.launcher();
  const later = await host.job("later", { record: `${await lineOf(launcher)}job 5499\n` });
  const first = await host.job("first", { record: `${launcherLine(GONE)}job 5500\n` });
  const adoptions = await host.adoptAll([later, first]);
  const [laterAdoption, firstAdoption] = [adoptions.get("later"), adoptions.get("first")];
  assert(laterAdoption !== undefined && firstAdoption !== undefined);
  assert.equal((await endOf(firstAdoption)).kind, "lost");
  await launcher[Symbol.asyncDispose]();
  assert.equal((await endOf(laterAdoption)).kind, "lost");
});

Deno.test("adopt: a process that has the launcher's id but another start time is not the launcher", async () => {
  await using host = await Host.make();
  await using process = new IdleProcess();
  const startTime = `${Number(await process.startTime()) - 1}`;
  const record = `${launcherLine({ pid: process.pid, startTime })}job 5499\n`;
  const adoption = await host.adopt(await host.job("a", { record }));
  assert(adoption.kind === "running");
  const ending = await endOf(adoption);
  assert.equal(ending.kind, "lost");
  assert.equal(process.ended, undefined);
});

Deno.test("adopt: where no inotify instance is left, the check finds the recorded end", async () => {
  await using host = await Host.make();
  using log = new CapturedLog();
  const launcher = host.launcher();
  const record = `${await lineOf(launcher)}job 5499\n`;
  const job = await host.job("a", { record, populated: true });
  const { watchFs } = Deno;
  Deno.watchFs = () => {
    throw new Error("Too many open files (os error 24)");
  };
  try {
    const adoption = await host.adopt(job);
    await writeRecord(job.folder, record + END);
    await launcher[Symbol.asyncDispose]();
    await host.setPopulated(job, false);
    const ending = await endOf(adoption);
    assert.equal(ending.kind === "exited" && ending.exitCode, 7);
    assert(!log.entries.some(({ message }) => /no exit status/.test(message)), "there is one");
  } finally {
    Deno.watchFs = watchFs;
  }
});

Deno.test("adopt: many records without a first line are waited for together", async () => {
  await using host = await Host.make({ firstLineTimeoutMs: 100 });
  const ids = Array.from({ length: 30 }, (_, index) => `${index}`);
  const jobs = await Promise.all(ids.map((id) => host.job(id, { record: "" })));
  const begunAtMs = performance.now();
  const adoptions = await host.adoptAll(jobs);
  const tookMs = performance.now() - begunAtMs;
  for (const id of ids) assert.equal(adoptions.get(id)?.kind, "ended");
  assert(tookMs < 30 * 100, `one after the other: ${tookMs} ms`);
});

Deno.test("adopt: a launcher that is stuck keeps neither the server nor the other jobs waiting", async () => {
  await using host = await Host.make({ settleTimeoutMs: 100 });
  const launcher = host.launcher();
  const line = await lineOf(launcher);
  const ids = Array.from({ length: 20 }, (_, index) => `${index}`);
  const stuck = await Promise.all(
    ids.map((id) => host.job(id, { wasRunning: false, record: line })),
  );
  const fine = await host.job("fine", { record: `${line}job 5499\n${END}` });
  const adoptions = await host.adoptAll([...stuck, fine]);
  assert.equal(adoptions.get("fine")?.kind, "ended");
  const first = adoptions.get("0");
  assert(first?.kind === "running");
  assert.equal(first.pid, 0);
  // It is watched: the launcher starts its job at last, and the job ends.
  await writeRecord(stuck[0]!.folder, `${line}job 5499\n${END}`);
  const ending = await endOf(first);
  assert.equal(ending.kind === "exited" && ending.exitCode, 7);
  await launcher[Symbol.asyncDispose]();
  for (const id of ids.slice(1)) {
    const never = await endOf(adoptions.get(id)!);
    assert.match(never.kind === "lost" ? never.reason : "", /ended before it had started the job/);
  }
});

Deno.test("adopt: a job that runs without its files is not left to itself, and lost when it ends", async () => {
  for (const record of [undefined, "junk", launcherLine(GONE)]) {
    await using host = await Host.make();
    const options = record === undefined ? {} : { record };
    const job = await host.job("a", { ...options, populated: true });
    const adoption = await host.adopt(job);
    assert(adoption.kind === "running", adoption.kind);
    await host.setPopulated(job, false);
    const ending = await endOf(adoption);
    assert.equal(ending.kind, "lost");
    assertRemoved(job);
  }
});

Deno.test("adopt: a launch record that cannot be read keeps no other job, and its job is watched", async () => {
  await using host = await Host.make({ settleTimeoutMs: 60 });
  const launcher = host.launcher();
  const record = `${await lineOf(launcher)}job 5499\n`;
  const broken = await host.job("broken", { populated: true });
  await Deno.mkdir(join(broken.folder, "launch"));
  const fine = await host.job("fine", { record });
  const adoptions = await host.adoptAll([broken, fine]);
  const [brokenAdoption, fineAdoption] = [adoptions.get("broken"), adoptions.get("fine")];
  assert(brokenAdoption?.kind === "running" && fineAdoption?.kind === "running");
  assert.equal(fineAdoption.pid, 5499);
  await Deno.remove(join(broken.folder, "launch"));
  await host.setPopulated(broken, false);
  assert.equal((await endOf(brokenAdoption)).kind, "lost");
});

Deno.test("adopt: a record that cannot be read when its launcher ends makes the executor be asked again", async () => {
  await using host = await Host.make();
  const launcher = host.launcher();
  const job = await host.job("a", { record: `${await lineOf(launcher)}job 5499\n` });
  const adoption = await host.adopt(job);
  assert(adoption.kind === "running");
  await Deno.remove(join(job.folder, "launch"));
  await Deno.mkdir(join(job.folder, "launch"));
  await launcher[Symbol.asyncDispose]();
  await assert.rejects(inTime("the failure", adoption.ended, DEADLINE_MS), /directory/);
});

Deno.test("adopt: after close nothing is watched, and nothing is left open", async () => {
  const host = await Host.make();
  const record = `${await lineOf(host.launcher())}job 5499\n`;
  const adoption = await host.adopt(await host.job("a", { record }));
  assert.equal(adoption.kind, "running");
  await host[Symbol.asyncDispose]();
});

Deno.test("adopt: nothing to adopt is nothing to watch", async () => {
  await using host = await Host.make();
  assert.equal((await host.adoptAll([])).size, 0);
});

Deno.test("adopt: an end on record is not believed while a process of the job is left", async () => {
  await using host = await Host.make();
  using log = new CapturedLog();
  const job = await host.job("a", {
    record: `${launcherLine(GONE)}job 42\n${END}`,
    populated: true,
  });
  const adoption = await host.adopt(job);
  assert(adoption.kind === "running", adoption.kind);
  assert.equal(adoption.pid, 42);
  const doubt = await until("the end to be doubted", () => log.entries[0]?.message);
  assert.match(doubt, /processes of it are left/);
  assert(!await isSettled(adoption.ended));
  await host.setPopulated(job, false);
  const ending = await endOf(adoption);
  assert(ending.kind === "exited" && ending.exitCode === 7);
  assertRemoved(job);
});

Deno.test("adopt: an end that is written while a process of the job is left is not believed", async () => {
  await using host = await Host.make();
  using log = new CapturedLog();
  const launcher = host.launcher();
  const begun = `${await lineOf(launcher)}job 42\n`;
  const job = await host.job("a", { record: begun, populated: true });
  const adoption = await host.adopt(job);
  await writeRecord(job.folder, begun + END);
  assert(adoption.kind === "running", adoption.kind);
  let hasEnded = false;
  void adoption.ended.then(() => hasEnded = true);
  await until("the record to be read", () => hasEnded || log.entries.length > 0);
  assert(!hasEnded);
  await host.setPopulated(job, false);
  const ending = await endOf(adoption);
  assert(ending.kind === "exited" && ending.exitCode === 7);
  assertRemoved(job);
});
