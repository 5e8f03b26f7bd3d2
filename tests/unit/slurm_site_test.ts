import { strict as assert } from "node:assert";
import { join } from "node:path";
import { capabilitiesOf, requirePossible } from "../../lib/executor/slurm/capabilities.ts";
import {
  examineConfiguration,
  factsOf,
  parseConfiguration,
  parsePartitions,
  type Site,
} from "../../lib/executor/slurm/site.ts";
import { Share } from "../../lib/executor/slurm/share.ts";
import { JobError } from "../../lib/errors.ts";
import type { Limits } from "../../lib/limits.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../lib/model/settings.ts";
import { AWAY, CONFIGURATION, FakeSlurm } from "../support/fake_slurm.ts";
import { CapturedLog } from "../support/captured_log.ts";

function findingsOf(from: string | RegExp, to: string, isRoot = false) {
  const text = CONFIGURATION.replace(from, to);
  assert.notEqual(text, from === "" ? undefined : CONFIGURATION);
  return examineConfiguration(parseConfiguration(text), { isRoot });
}

Deno.test("examineConfiguration: a site with all that is needed is fine", () => {
  for (const isRoot of [true, false]) {
    const findings = examineConfiguration(parseConfiguration(CONFIGURATION), { isRoot });
    assert.deepEqual(findings.filter(({ state }) => state !== "ok"), []);
  }
});

for (
  const [from, to, isRoot, state, text] of [
    [
      "proctrack/cgroup",
      "proctrack/linuxproc",
      true,
      "missing",
      /set ProctrackType=proctrack\/cgroup in slurm\.conf, and restart/,
    ],
    [/^ProctrackType.*\n/m, "", true, "missing", /it is unknown/],
    [
      "DisableRootJobs         = No",
      "DisableRootJobs         = YES",
      true,
      "missing",
      /run the server as another user/,
    ],
    [
      "MinJobAge               = 300",
      "MinJobAge               = 2",
      true,
      "warning",
      /at least 30/,
    ],
    ["22.05.8", "21.08.5", true, "warning", /oldest that was tried/],
    ["ConstrainRAMSpace       = yes", "ConstrainRAMSpace = no", false, "warning", /cgroup\.conf/],
    ["ConstrainCores          = yes", "ConstrainCores = no", false, "warning", /cgroup\.conf/],
    [",task/cgroup", "", false, "warning", /task\/cgroup/],
  ] as const
) {
  Deno.test(`examineConfiguration: ${to || "a line that is not there"} is ${state}`, () => {
    const found = findingsOf(from, to, isRoot).filter((finding) => finding.state !== "ok");
    assert(found.length > 0);
    for (const finding of found) {
      assert.equal(finding.state, state);
      assert.match(finding.text, text);
    }
  });
}

Deno.test("examineConfiguration: jobs that Slurm runs again by their exit status are named", () => {
  for (const [value, count] of [["(null)", 0], ["7,9", 2]] as const) {
    const configuration = parseConfiguration(
      `${CONFIGURATION}RequeueExit             = ${value}\nRequeueExitHold         = ${value}\n`,
    );
    const found = examineConfiguration(configuration, { isRoot: true })
      .filter(({ state }) => state === "warning");
    assert.equal(found.length, count);
    for (const { text } of found) assert.match(text, /^it is 7,9: .*stay in Slurm's queue/);
  }
});

Deno.test("examineConfiguration: 0 for MinJobAge keeps records for ever, and root's jobs need no limits of Slurm's", () => {
  const ok = (from: string, to: string, isRoot: boolean) =>
    findingsOf(from, to, isRoot).every(({ state }) => state === "ok");
  assert(ok("= 300 sec", "= 0 sec", true));
  assert(ok("ConstrainRAMSpace       = yes", "ConstrainRAMSpace = no", true));
  assert(ok("DisableRootJobs         = No", "DisableRootJobs         = YES", false));
});

Deno.test("parsePartitions: the default one comes first", () => {
  const text = "PartitionName=b A=1 Default=NO X=1\nPartitionName=a A=1 Default=YES X=1\n";
  assert.deepEqual(parsePartitions(text), ["a", "b"]);
});

const MIB = 1024 ** 2;

function siteOf(change: Partial<Site> = {}): Site {
  const facts = factsOf(parseConfiguration(CONFIGURATION));
  return {
    facts,
    uid: 1000,
    user: "svc",
    isForUsers: false,
    isRoot: false,
    partitions: ["main"],
    ...change,
  };
}

/** @returns The refusal; empty: none. */
function check(
  site: Site,
  limits: Limits,
  settings: JobSettings = DEFAULT_SETTINGS,
  user = site.user,
): string {
  try {
    requirePossible(limits, {
      settings: { ...settings, user },
      site,
      capabilities: capabilitiesOf(site, true),
    });
    return "";
  } catch (error) {
    assert(error instanceof JobError);
    assert.equal(error.kind, user === site.user ? "precondition" : "invalid");
    return error.message;
  }
}

Deno.test("requirePossible: as root all limits are held", () => {
  const site = siteOf({ uid: 0, user: "root", isRoot: true });
  const limits = { cpuCores: 0.5, memoryBytes: MIB, readBytesPerSecond: 4096, processes: 5 };
  assert.equal(check(site, limits), "");
});

Deno.test("requirePossible: as another user memory and whole cores are Slurm's, and the rest is refused", () => {
  const site = siteOf();
  assert.equal(check(site, {}), "");
  assert.equal(check(site, { cpuCores: 2, memoryBytes: 256 * MIB }), "");
  assert.match(check(site, { cpuCores: 0.5 }), /whole cores/);
  assert.match(check(site, { memoryBytes: 30 * MIB - 1 }), /below 30M/);
  assert.equal(check(site, { memoryBytes: 30 * MIB }), "");
  assert.match(check(site, { writeBytesPerSecond: 4096 }), /disk limit/);
  assert.match(check(site, { processes: 100 }), /--max-processes/);
});

Deno.test("requirePossible: a limit that the site does not constrain is refused, with the parameter's name", () => {
  const facts = { ...siteOf().facts, constrainsMemory: false, constrainsCores: false };
  assert.match(check(siteOf({ facts }), { cpuCores: 1 }), /ConstrainCores=yes/);
  assert.match(check(siteOf({ facts }), { memoryBytes: 64 * MIB }), /ConstrainRAMSpace=yes/);
});

Deno.test("requirePossible: more cores than the CPU limit allows would be more than Slurm holds", () => {
  const settings = { ...DEFAULT_SETTINGS, queue: { cpus: 4 } };
  assert.match(check(siteOf(), { cpuCores: 2 }, settings), /4 cores are above/);
  assert.equal(check(siteOf(), { cpuCores: 4 }, settings), "");
  assert.equal(check(siteOf(), {}, settings), "");
  assert.equal(check(siteOf({ isRoot: true }), { cpuCores: 2 }, settings), "");
});

Deno.test("requirePossible: isolation needs root", () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    isolation: { privateTmp: false, noNetwork: true, ownProcesses: false },
  };
  assert.match(check(siteOf(), {}, settings), /isolated/);
  assert.equal(check(siteOf({ isRoot: true }), {}, settings), "");
});

Deno.test("requirePossible: both outputs of a job are one", () => {
  const settings = { ...DEFAULT_SETTINGS, separateStderr: true } as const;
  assert.match(check(siteOf({ isRoot: true }), {}, settings), /both outputs to one file/);
});

Deno.test("requirePossible: jobs run as the server's user, and a start that names another is refused", () => {
  assert.match(check(siteOf(), {}, DEFAULT_SETTINGS, "alice"), /run as svc on the cluster/);
});

Deno.test("SlurmExecutor: does not start at a site where a job's processes can outlive it", async () => {
  await using slurm = await FakeSlurm.make();
  slurm.configuration = CONFIGURATION.replace("proctrack/cgroup", "proctrack/linuxproc");
  await assert.rejects(slurm.restart(), /jobs cannot run on this cluster: ProctrackType: it is/);
});

Deno.test("SlurmExecutor: starts while the controller is away where it was there before", async () => {
  await using slurm = await FakeSlurm.make();
  using log = new CapturedLog();
  slurm.failures.set("scontrol", AWAY);
  await assert.rejects(slurm.restart(), /Slurm does not answer: .*look whether slurmctld runs/);
  slurm.failures.set("scontrol", { status: 127, text: "" });
  await assert.rejects(slurm.restart(), /not installed here.*slurm-client/);
  slurm.failures.clear();
  await slurm.restart();
  slurm.failures.set("scontrol", AWAY);
  const { capabilities } = await slurm.restart();
  assert.equal(capabilities.engine, "Slurm 22.05.8");
  assert.deepEqual(capabilities.partitions, ["main", "short"]);
  assert.match(log.messages("warn").join(), /what it said before counts/);
});

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-share-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Share: a folder whose name Slurm would change, or that is not there, is refused", async () => {
  await assert.rejects(Share.open("/tmp/jobs-%j", "server-1"), /characters that Slurm changes/);
  await assert.rejects(Share.open("jobs", "server-1"), /characters that Slurm changes/);
  await assert.rejects(
    Share.open("/tmp/job-worker-no-such-share", "server-1"),
    /mount the site's shared/,
  );
  await withFolder(async (folder) => {
    const file = join(folder, "file");
    await Deno.writeTextFile(file, "");
    await assert.rejects(Share.open(file, "server-1"), /is not a folder/);
  });
});

Deno.test("Share: a file system that creates a file twice is refused", async () => {
  await withFolder(async (folder) => {
    const { open } = Deno;
    Deno.open = (path, options) => open(path, { ...options, createNew: false, create: true });
    try {
      await assert.rejects(Share.open(folder, "server-1"), /creates a file twice/);
    } finally {
      Deno.open = open;
    }
  });
});

Deno.test("Share: it is new once, and nothing of the tests is left in it", async () => {
  await withFolder(async (folder) => {
    assert.equal((await Share.open(folder, "server-1")).isNew, true);
    assert.equal((await Share.open(folder, "server-1")).isNew, false);
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    assert.deepEqual(names, ["job-worker-share"]);
  });
});

Deno.test("Share: the folder of another server is refused, until its mark is emptied by hand", async () => {
  await withFolder(async (folder) => {
    await Share.open(folder, "server-1");
    await assert.rejects(Share.open(folder, "server-2"), /jobs of another server.*empty the file/);
    await Deno.writeTextFile(join(folder, "job-worker-share"), "");
    assert.equal((await Share.open(folder, "server-2")).isNew, false);
    await assert.rejects(Share.open(folder, "server-1"), /jobs of another server/);
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    assert.deepEqual(names, ["job-worker-share"]);
  });
});

Deno.test("Share: of two servers that come at once one has it", async () => {
  await withFolder(async (folder) => {
    const opened = await Promise.allSettled(["a", "b"].map((owner) => Share.open(folder, owner)));
    assert.deepEqual(opened.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  });
});
