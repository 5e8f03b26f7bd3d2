/**
 * Launchers as processes: real shells, and the real lib/shim/launch.sh where the test says so. The
 * others run a fake of it, a few lines that report what the test wants. Control groups are faked by
 * plain folders (tests/support/fake_groups.ts).
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import {
  type Launched,
  type LauncherRequest,
  Launchers,
  type LaunchersOptions,
} from "../../lib/executor/launchers.ts";
import { RECORD_REFUSED_STATUS } from "../../lib/executor/launcher.ts";
import { parseLaunchRecord } from "../../lib/executor/launch_record.ts";
import { PROGRAM_PATH } from "../../lib/shim/shell.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { readKernelFile } from "../support/idle_process.ts";
import { until } from "../support/wait.ts";

const TIMES = { releaseAfterMs: 10_000, idleTimeoutMs: 10_000, maxTurnMs: 10_000 };

/** Launchers that run a fake script. */
class FakeLaunchers extends Launchers implements AsyncDisposable {
  constructor(script: string, options: Partial<LaunchersOptions> = {}) {
    super({
      group: "/no/group",
      environment: { PATH: PROGRAM_PATH },
      maxLaunching: 10,
      script,
      times: TIMES,
      ...options,
    });
  }

  /** Has a launcher run a job that has these arguments. */
  start(
    command: readonly string[] = [],
    request: Partial<LauncherRequest> = {},
  ): Promise<Launched> {
    return this.launch({
      owner: "alice",
      words: [],
      command,
      environment: {},
      secrets: {},
      ...request,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The process id that a fake launcher reports as its own. */
async function pidOf(launched: Promise<Launched>): Promise<number> {
  const { report, done } = await launched;
  await done;
  const pid = /^started (\d+)\n/m.exec(report)?.[1];
  assert(pid !== undefined, report);
  return Number(pid);
}

async function isAlive(pid: number): Promise<boolean> {
  return await readKernelFile(`/proc/${pid}/stat`) !== "";
}

/** Waits for a file, while the test runs. */
function waitFor(path: string): string {
  return `until [ -e ${path} ] || ! kill -0 $PPID; do sleep 0.01; done`;
}

/** A launcher whose job runs until a file exists; a test that is killed leaves none behind. */
function endsAfter(gate: string): string {
  return `launch() { echo "started $$"; ${waitFor(`'${gate}'`)}; echo ended; }\n`;
}

const REPORTS_ITSELF = 'launch() { echo "started $$"; echo ended; }\n';

Deno.test("Launchers: one that has reported its job's end takes the next job", async () => {
  await using launchers = new FakeLaunchers(REPORTS_ITSELF);
  const first = await pidOf(launchers.start());
  for (let time = 0; time < 5; time++) assert.equal(await pidOf(launchers.start()), first);
});

Deno.test("Launchers: jobs at the same time have launchers of their own, which are all kept", async () => {
  await using groups = await FakeGroups.make();
  const gate = groups.path("gate");
  await using launchers = new FakeLaunchers(endsAfter(gate));
  const startTwo = async () => {
    const launched = await Promise.all([launchers.start(), launchers.start()]);
    await Deno.writeTextFile(gate, "");
    for (const { done } of launched) await done;
    return new Set(launched.map(({ report }) => report.split("\n")[0]));
  };
  const first = await startTwo();
  assert.equal(first.size, 2);
  await Deno.remove(gate);
  assert.deepEqual(await startTwo(), first);
});

Deno.test("Launchers: a report that comes in pieces, or all at once, is the same report", async () => {
  const pieces = `launch() {
    for piece in sta "rted" " 12" "3\\n" "en" "ded" "\\n"; do printf "$piece"; sleep 0.01; done
  }\n`;
  for (const script of [pieces, "launch() { printf 'started 123\\nended\\n'; }\n"]) {
    await using launchers = new FakeLaunchers(script);
    for (let time = 0; time < 2; time++) {
      const { report, done } = await launchers.start();
      assert.match(report, /^started 123\n/);
      await done;
    }
  }
});

Deno.test("Launchers: a start is reported before the job has ended", async () => {
  await using groups = await FakeGroups.make();
  const gate = groups.path("gate");
  await using launchers = new FakeLaunchers(endsAfter(gate));
  const { report, done } = await launchers.start();
  assert.match(report, /^started \d+\n$/);
  let isDone = false;
  const settled = done.then(() => isDone = true);
  // A whole launch later it has still not ended.
  const second = await launchers.start();
  assert.equal(isDone, false);
  await Deno.writeTextFile(gate, "");
  await settled;
  await second.done;
});

Deno.test("Launchers: one that is killed before its report reports nothing, and takes no other job", async () => {
  for (const words of ["", "printf 'star'; ", "printf 'started 12'; "]) {
    await using launchers = new FakeLaunchers(`launch() { ${words}kill -KILL $$; }\n`);
    const { report, done } = await launchers.start();
    assert.doesNotMatch(report, /^started \d+\n/m);
    await done;
    await (await launchers.start()).done;
  }
});

Deno.test("Launchers: one that is killed after its report has done with the job", async () => {
  await using launchers = new FakeLaunchers('launch() { echo "started $$"; kill -KILL $$; }\n');
  const first = await pidOf(launchers.start());
  const second = await pidOf(launchers.start());
  assert.notEqual(first, second);
});

Deno.test("Launchers: one that could not write its job's end says so by its exit status", async () => {
  await using launchers = new FakeLaunchers('launch() { echo "started $$"; exit 74; }\n');
  assert.equal(await (await launchers.start()).done, RECORD_REFUSED_STATUS);
  await using others = new FakeLaunchers(REPORTS_ITSELF);
  assert.equal(await (await others.start()).done, 0);
});

Deno.test("Launchers: one that is killed between two jobs is not asked for the second", async () => {
  await using launchers = new FakeLaunchers(REPORTS_ITSELF);
  const first = await pidOf(launchers.start());
  Deno.kill(first, "SIGKILL");
  const second = await until("another launcher", async () => {
    const { report, done } = await launchers.start();
    await done;
    return report === "" ? undefined : report;
  });
  assert.notEqual(second, `started ${first}\n`);
});

Deno.test("Launchers: a refusal is reported whole, and its launcher takes no other job", async () => {
  const script = 'launch() { printf "refused limit\\nrefused %s\\n" "$$"; exit 0; }\n';
  await using launchers = new FakeLaunchers(script);
  const reports = new Set<string>();
  for (let time = 0; time < 2; time++) {
    const { report, done } = await launchers.start();
    await done;
    assert.match(report, /^refused limit\nrefused \d+\n$/);
    reports.add(report);
  }
  assert.equal(reports.size, 2);
});

Deno.test("Launchers: a report without end is cut", async () => {
  await using launchers = new FakeLaunchers("launch() { exec 2>&1; yes; }\n", {
    times: { ...TIMES, releaseAfterMs: 1 },
  });
  const { report, done } = await launchers.start();
  assert(report.length < 32 * 1024, `${report.length}`);
  await done;
});

/** Opens a gate for each job by its name, and says how many launches are under way. */
const GATED = `launch() {
  : >"$2/begun-$1"
  ${waitFor('"$2/open-$1"')}
  echo "started $$"; echo ended
}\n`;

function begunIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith("begun-")).sort();
}

Deno.test("Launchers: so many launches are under way at once, and the others wait for their turn", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = new FakeLaunchers(GATED, { maxLaunching: 2 });
  const launched = ["a", "b", "c"].map((name) => launchers.start([name, groups.folder]));
  await until("two launches", () => begunIn(groups.folder).length === 2);
  await Deno.writeTextFile(groups.path("open-a"), "");
  await launched[0];
  await until("the third launch", () => begunIn(groups.folder).length === 3);
  for (const name of ["b", "c"]) await Deno.writeTextFile(groups.path(`open-${name}`), "");
  for (const { done } of await Promise.all(launched)) await done;
});

Deno.test("Launchers: a launch that takes long does not hold up the next", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = new FakeLaunchers(GATED, {
    maxLaunching: 1,
    times: { ...TIMES, maxTurnMs: 20 },
  });
  await Deno.writeTextFile(groups.path("open-b"), "");
  const stuck = launchers.start(["a", groups.folder]);
  await (await launchers.start(["b", groups.folder])).done;
  await Deno.writeTextFile(groups.path("open-a"), "");
  await (await stuck).done;
});

Deno.test("Launchers: a launch that fails gives its turn back", async () => {
  await using launchers = new FakeLaunchers(REPORTS_ITSELF, { maxLaunching: 1 });
  for (let time = 0; time < 3; time++) {
    const tooLong = Array<string>(40).fill("x".repeat(130_000));
    await assert.rejects(launchers.start(tooLong), /os error 7|E2BIG/);
  }
  await pidOf(launchers.start());
});

Deno.test("Launchers: one whose job is long is released: it ends with its job", async () => {
  await using groups = await FakeGroups.make();
  const gate = groups.path("gate");
  await using launchers = new FakeLaunchers(endsAfter(gate), {
    times: { ...TIMES, releaseAfterMs: 10 },
  });
  const { report, done } = await launchers.start();
  const pid = Number(report.slice("started ".length));
  // The server's end of the pipe is closed: what the launcher writes has no reader.
  const isReleased = async () => {
    const script = 'exec 3>"/proc/$1/fd/1"; trap "" PIPE; printf "" >&3 && echo >&3';
    const probe = new Deno.Command("sh", {
      args: ["-c", script, "sh", `${pid}`],
      stderr: "null",
    });
    return !(await probe.output()).success;
  };
  await until("the launcher to be released", isReleased, 2000);
  assert.equal(await isAlive(pid), true);
  await Deno.writeTextFile(gate, "");
  await done;
  assert.equal(await isAlive(pid), false);
});

Deno.test("Launchers: one that gets no job for a while ends", async () => {
  await using launchers = new FakeLaunchers(REPORTS_ITSELF, {
    times: { ...TIMES, idleTimeoutMs: 10 },
  });
  const pid = await pidOf(launchers.start());
  await until("the launcher to end", async () => !await isAlive(pid));
});

Deno.test("Launchers: close ends those without a job", async () => {
  const launchers = new FakeLaunchers(REPORTS_ITSELF);
  const pid = await pidOf(launchers.start());
  assert.equal(await isAlive(pid), true);
  await launchers.close();
  assert.equal(await isAlive(pid), false);
});

Deno.test("Launchers: secrets are in the environment of a launcher that takes no other job", async () => {
  const script = `shift 2
    launch() { echo "$$;\${SECRET-};\${JOB-};$#;$*"; echo started 1; echo ended; }\n`;
  await using launchers = new FakeLaunchers(script);
  const ask = async (request: Partial<LauncherRequest>) => {
    const { report, done } = await launchers.start(["a b", "'"], { words: ["w 1"], ...request });
    await done;
    const [pid, ...said] = (report.split("\n")[0] ?? "").split(";");
    return { pid: Number(pid), said };
  };
  const before = await ask({ environment: { JOB: "j'1" } });
  assert.deepEqual(before.said, ["", "j'1", "3", "w 1 a b '"]);
  const own = await ask({ environment: { JOB: "j'2" }, secrets: { SECRET: "hush" } });
  assert.deepEqual(own.said, ["hush", "j'2", "3", "w 1 a b '"]);
  assert.notEqual(own.pid, before.pid);
  await until("the launcher to end", async () => !await isAlive(own.pid));
  const after = await ask({ environment: { JOB: "j3" } });
  assert.deepEqual(after, { pid: before.pid, said: ["", "j3", "3", "w 1 a b '"] });
});

Deno.test("Launchers: one that has held a secret is not asked for the next job", async () => {
  await using launchers = new FakeLaunchers(REPORTS_ITSELF);
  const own = await pidOf(launchers.start([], { secrets: { SECRET: "hush" } }));
  assert.notEqual(await pidOf(launchers.start()), own);
  await until("the launcher to end", async () => !await isAlive(own));
});

Deno.test("Launchers: a command that is too long for the input comes through all the same", async () => {
  await using launchers = new FakeLaunchers(
    'shift 2\nlaunch() { echo "$# ${#3}"; echo "started $$"; echo ended; }\n',
  );
  for (const length of [100, 64 * 1024 - 19, 64 * 1024, 120_000]) {
    const { report, done } = await launchers.start(["a", "x".repeat(length)], { words: ["w"] });
    await done;
    assert.equal(report.split("\n")[0], `3 ${length}`);
    // One that was started for this command alone takes no other job.
    const pid = Number(/^started (\d+)$/m.exec(report)?.[1]);
    if (length > 64 * 1024 - 20) {
      await until("the launcher to end", async () => !await isAlive(pid));
    }
  }
});

/** Starts a job by the real script, in fake groups. */
class RealLaunchers extends Launchers implements AsyncDisposable {
  readonly #groups: FakeGroups;

  constructor(groups: FakeGroups, group: string) {
    super({ group, environment: { PATH: PROGRAM_PATH }, maxLaunching: 10, times: TIMES });
    this.#groups = groups;
  }

  static async make(groups: FakeGroups): Promise<RealLaunchers> {
    return new RealLaunchers(groups, await groups.group("launchers"));
  }

  /** Launches a command; its folder has `output` and `launch` in it. */
  async start(
    name: string,
    command: readonly string[],
    { settings = "", secrets = {}, populated = false }: {
      settings?: string;
      secrets?: Record<string, string>;
      populated?: boolean;
    } = {},
  ): Promise<Launched & { folder: string; group: string; populatedFile: string }> {
    const group = await this.#groups.group(`group-${name}`);
    const { populatedFile } = await this.#groups.place(name, { populated });
    const folder = this.#groups.path(`job-${name}`);
    await Deno.mkdir(folder, { recursive: true });
    const output = join(folder, "output");
    await Deno.writeTextFile(output, "");
    const counter = join(folder, "counter");
    await Deno.writeTextFile(counter, "7\n");
    const counters = `pids.current ${counter}`;
    const launched = await this.launch({
      owner: "alice",
      words: [folder, output, group, settings, "", counters, populatedFile, "1"],
      command,
      environment: { JOB_ID: name },
      secrets,
    });
    return { ...launched, folder, group, populatedFile };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

Deno.test("launch.sh: the launch record names launcher, boot, job, status and counters", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const script = 'read -r stat </proc/$PPID/stat; echo "$JOB_ID $PPID $stat"; exit 9';
  const { report, done, folder } = await launchers.start("one", ["sh", "-c", script]);
  await done;
  const record = parseLaunchRecord(await Deno.readTextFile(join(folder, "launch")));
  const [id, launcherPid, ...stat] = (await Deno.readTextFile(join(folder, "output"))).trim().split(
    " ",
  );
  assert.equal(id, "one");
  const { bootId, ...launcher } = record.launcher ?? {};
  assert.deepEqual(launcher, { pid: Number(launcherPid), startTime: stat[22 - 1] });
  const boot = await readKernelFile("/proc/sys/kernel/random/boot_id");
  assert.equal(bootId, boot.trim());
  assert.match(report, new RegExp(`^started ${record.job?.pid}\n`));
  const counters = new Map([["pids.current", "7\n"]]);
  assert.deepEqual(record.exit, {
    status: 9,
    bySignal: false,
    unwrittenBytes: 0,
    unwrittenErrorBytes: 0,
    counters,
  });
});

Deno.test("launch.sh: a signal that ends a job is recorded, for this job only", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const endings: unknown[] = [];
  for (const [index, script] of ["kill -TERM $$", "exit 143", "exit 0"].entries()) {
    const { done, folder } = await launchers.start(`${index}`, ["sh", "-c", script]);
    await done;
    const { exit } = parseLaunchRecord(await Deno.readTextFile(join(folder, "launch")));
    endings.push([exit?.status, exit?.bySignal]);
  }
  assert.deepEqual(endings, [[143, true], [143, false], [0, false]]);
});

Deno.test("launch.sh: what it runs itself after the main process does not count as the job's, nor does it", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const secrets = { job_worker_input: "" };
  const job = await launchers.start("left", ["true"], { populated: true, secrets });
  const path = join(job.folder, "launch");
  const pid = parseLaunchRecord(await Deno.readTextFile(path)).launcher?.pid;
  assert(pid !== undefined);
  const own = await readKernelFile(`/proc/${pid}/environ`);
  assert(own.includes("job_worker_input=") && !own.includes("JOB_ID="), own);
  let seen = 0;
  await until("the launcher to wait for what is left, by programs", async () => {
    for (const child of (await readKernelFile(`/proc/${pid}/task/${pid}/children`)).split(" ")) {
      const program = await readKernelFile(`/proc/${child}/comm`);
      if (program !== "sleep\n") continue;
      const environment = await readKernelFile(`/proc/${child}/environ`);
      assert(!environment.split("\0").includes("JOB_ID=left"), "it would be found as the job's");
      if (environment !== "") seen++;
    }
    return seen >= 3;
  });
  await Deno.writeTextFile(job.populatedFile, "populated 0\n");
  await job.done;
});

Deno.test("launch.sh: arguments reach the command as they are, and the launcher's descriptors do not", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const args = ["", "'; exit 3; '", "a\nb", "$(id) `id` \\", '"', "--", "*", "é"];
  // Descriptors from 10 on are those that this test has inherited itself.
  const script = 'printf "<%s>" "$@"; cd /proc/self/fd; echo [0-9]';
  const { done, folder } = await launchers.start("a", ["sh", "-c", script, "sh", ...args]);
  await done;
  const expected = `${args.map((text) => `<${text}>`).join("")}0 1 2 3\n`;
  assert.equal(await Deno.readTextFile(join(folder, "output")), expected);
});

Deno.test("launch.sh: a job whose launch record already exists is not run", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const folder = groups.path("job-late");
  await Deno.mkdir(folder);
  await Deno.writeTextFile(join(folder, "launch"), "withdrawn\n");
  const { report, done } = await launchers.start("late", ["sh", "-c", "echo ran"]);
  await done;
  assert.equal(report, "");
  assert.equal(await Deno.readTextFile(join(folder, "launch")), "withdrawn\n");
  assert.equal(await Deno.readTextFile(join(folder, "output")), "");
});

Deno.test("launch.sh: a command that cannot be run is refused, and nothing of it is left", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  await Deno.writeTextFile(groups.path("plain"), "");
  const cases: [command: string, report: string][] = [
    ["no-such-program", "refused not-found\n"],
    ["/no/such", "refused not-found\n"],
    [groups.folder, "refused folder\n"],
    [groups.path("plain"), "refused not-executable\n"],
  ];
  for (const [index, [command, expected]] of cases.entries()) {
    const { report, done, group } = await launchers.start(`${index}`, [command]);
    await done;
    assert.equal(report, expected, command);
    assert.throws(() => Deno.statSync(group), Deno.errors.NotFound);
  }
});

Deno.test("launch.sh: a limit that cannot be set is refused with the file, the value and the reason", async () => {
  await using groups = await FakeGroups.make();
  await using launchers = await RealLaunchers.make(groups);
  const file = groups.path("absent", "memory.max");
  const refused = await launchers.start("a", ["true"], { settings: `${file} 5` });
  await refused.done;
  assert.match(
    refused.report,
    new RegExp(`^refused limit\nrefused ${file}\nrefused 5\nrefused .+\n$`),
  );
  const optional = await launchers.start("b", ["true"], { settings: `?${file} 5` });
  await optional.done;
  assert.match(optional.report, /^started /);
  const present = groups.path("pids.max");
  const set = await launchers.start("c", ["true"], { settings: `${present} 5 6` });
  await set.done;
  assert.equal(await Deno.readTextFile(present), "5 6\n");
});
