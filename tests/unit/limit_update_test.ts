/** Changes of the limits of running jobs: which files are written, and what the script's words mean. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type LimitChanges, planChanges } from "../../lib/cgroup.ts";
import { parseHostReport, toCgroupHost } from "../../lib/cgroup/host.ts";
import type { CgroupHost } from "../../lib/cgroup/types.ts";
import { JobError } from "../../lib/errors.ts";
import { readUpdate } from "../../lib/executor/limit_update.ts";
import { LIMIT_NAMES, type Limits } from "../../lib/limits.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { runScript } from "../../lib/shim/shell.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { testUnless } from "../support/skip.ts";

const MIB = 1024 ** 2;

const ALL_LIMITS: Limits = {
  cpuCores: 0.5,
  memoryBytes: 256 * MIB,
  readBytesPerSecond: 10_000_000,
  writeBytesPerSecond: 5_000_000,
  processes: 100,
  readOperationsPerSecond: 100,
  writeOperationsPerSecond: 50,
  allowedCpus: "0-1",
};

/** What cgroup v1 does not have. */
const V2_LIMITS: Limits = { ...ALL_LIMITS, memoryHighBytes: 128 * MIB };

function hostOf(name: string): CgroupHost {
  const folder = join(import.meta.dirname ?? ".", "..", "fixtures");
  const host = toCgroupHost(parseHostReport(Deno.readTextFileSync(join(folder, name))), "ours");
  assert(host);
  return host;
}

/** The lines that are written, without the folders. */
function planned(name: string, groups: readonly string[], limits: Limits, names = LIMIT_NAMES) {
  const plan = planChanges(hostOf(name), groups, { limits, names: new Set(names) });
  const lines = (settings: LimitChanges["settings"]) =>
    settings.map(({ file, value, optional }) =>
      `${optional === true ? "?" : ""}${file.replace(/^.*\/other\/job\//, "")} ${value}`
    );
  return [...lines(plan.settings), ...lines(plan.diskSettings)];
}

const V2 = ["/sys/fs/cgroup/other/job"];
const HYBRID = ["cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "unified"]
  .map((name) => `/sys/fs/cgroup/${name}/other/job`);

Deno.test("planChanges: v2, in the job's own groups; what has no limit any more is freed", () => {
  assert.deepEqual(planned("probe_v2.txt", V2, V2_LIMITS), [
    "cpu.max 50000 100000",
    "memory.high 134217728",
    "?memory.swap.max 0",
    `memory.max ${256 * MIB}`,
    "?memory.oom.group 1",
    "pids.max 100",
    "cpuset.cpus 0-1",
    "io.max rbps=10000000 wbps=5000000 riops=100 wiops=50",
  ]);
  assert.deepEqual(planned("probe_v2.txt", V2, {}), [
    "cpu.max max 100000",
    "memory.high max",
    "?memory.swap.max max",
    "memory.max max",
    "?memory.oom.group 0",
    "pids.max max",
    "cpuset.cpus ",
    "io.max rbps=max wbps=max riops=max wiops=max",
  ]);
});

Deno.test("planChanges: v1, with memory and swap in an order that works both ways", () => {
  assert.deepEqual(planned("probe_hybrid.txt", HYBRID, ALL_LIMITS), [
    "cpu.cfs_period_us 100000",
    "cpu.cfs_quota_us 50000",
    "cpuset.cpus 0-1",
    "?memory.memsw.limit_in_bytes -1",
    `memory.limit_in_bytes ${256 * MIB}`,
    `?memory.memsw.limit_in_bytes ${256 * MIB}`,
    "pids.max 100",
    "blkio.throttle.read_bps_device 10000000",
    "blkio.throttle.write_bps_device 5000000",
    "blkio.throttle.read_iops_device 100",
    "blkio.throttle.write_iops_device 50",
  ]);
  assert.deepEqual(planned("probe_hybrid.txt", HYBRID, {}), [
    "cpu.cfs_period_us 100000",
    "cpu.cfs_quota_us -1",
    "?cpuset.cpus ",
    "?memory.memsw.limit_in_bytes -1",
    "memory.limit_in_bytes -1",
    "?memory.memsw.limit_in_bytes -1",
    "pids.max max",
    "blkio.throttle.read_bps_device 0",
    "blkio.throttle.write_bps_device 0",
    "blkio.throttle.read_iops_device 0",
    "blkio.throttle.write_iops_device 0",
  ]);
});

Deno.test("planChanges: what is not named is not written, and what a host cannot hold is refused", () => {
  assert.deepEqual(planned("probe_v2.txt", V2, ALL_LIMITS, ["writeBytesPerSecond"]), [
    "io.max wbps=5000000",
  ]);
  assert.deepEqual(planned("probe_hybrid.txt", HYBRID, ALL_LIMITS, ["processes"]), [
    "pids.max 100",
  ]);
  const { kind, parent } = hostOf("probe_v2.txt");
  const bare: CgroupHost = {
    kind,
    parent,
    hierarchies: [{ version: 2, folder: "/sys/fs/cgroup", controllers: ["pids"] }],
  };
  assert.throws(
    () => planChanges(bare, V2, { limits: { memoryBytes: MIB }, names: new Set(["memoryBytes"]) }),
    (error) => error instanceof JobError && /^Cannot update the job: .*memory/.test(error.message),
  );
});

Deno.test("planChanges: on v1 a job whose CPUs are chosen enters a group for it", () => {
  const change = (name: string, groups: readonly string[], limits: Limits) =>
    planChanges(hostOf(name), groups, { limits, names: new Set(["allowedCpus"]) });
  const cpus = { allowedCpus: "0" };
  assert.deepEqual(change("probe_hybrid.txt", HYBRID, cpus).move, {
    to: "/sys/fs/cgroup/cpuset/other/job",
    from: "/sys/fs/cgroup/unified/other/job",
  });
  assert.equal(change("probe_hybrid.txt", HYBRID, {}).move, undefined);
  assert.equal(change("probe_v2.txt", V2, cpus).move, undefined);
  const earlier = HYBRID.filter((group) => !group.includes("/cpuset/"));
  assert.throws(() => change("probe_hybrid.txt", earlier, cpus), /earlier version of the server/);
  // The files are applied to such a job all the same.
  assert.deepEqual(change("probe_hybrid.txt", earlier, {}).settings, []);
});

Deno.test("planChanges: where limits of disks change, those of named disks are written again, or freed", () => {
  const limits = {
    readBytesPerSecond: 5000,
    disks: [{ disk: "8:16", number: "8:16", readBytesPerSecond: 9000 }],
  };
  assert.deepEqual(planned("probe_v2.txt", V2, limits, ["readBytesPerSecond"]), [
    "io.max 8:16 rbps=9000",
    "io.max rbps=5000",
  ]);
  assert.deepEqual(planned("probe_v2.txt", V2, limits, ["cpuCores"]), ["cpu.max max 100000"]);
  assert.deepEqual(planned("probe_hybrid.txt", HYBRID, { readBytesPerSecond: 5000 }, ["disks"]), [
    "blkio.throttle.read_bps_device 5000",
    "blkio.throttle.write_bps_device 0",
    "blkio.throttle.read_iops_device 0",
    "blkio.throttle.write_iops_device 0",
  ]);
});

Deno.test("update.sh: a limit of one disk changes its line, and is put back", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("job", { "io.max": "8:16 rbps=1 wbps=2 riops=3 wiops=4\n" });
  assert.equal(await update(group, ["io.max 8:16 rbps=5"]), "");
  assert.equal((await filesOf(group))["io.max"], "8:16 rbps=5");
  await Deno.symlink("/proc/version", join(group, "pids.max"));
  assert.match(await update(group, ["io.max 8:16 rbps=7", "pids.max 3"]), /^refused pids\.max 3 /);
  assert.equal((await filesOf(group))["io.max"], "8:16 rbps=5");
});

Deno.test("readUpdate: the memory limit is what the kernel has rounded it to", () => {
  const read = (printed: string) => readUpdate(printed, { cpuCores: 1, memoryBytes: 10_000_000 });
  assert.deepEqual(read("memory 9998336\n"), { cpuCores: 1, memoryBytes: 9_998_336 });
  assert.deepEqual(read(""), { cpuCores: 1, memoryBytes: 10_000_000 });
  assert.deepEqual(readUpdate("memory 9223372036854771712\n", {}), {});
  for (const held of ["9223372036854771712", "20000000", "4096"]) {
    assert.throws(() => read(`memory ${held}\n`), /which ones hold now is not known/);
  }
});

Deno.test("readUpdate: says what the kernel refuses, and whether something has changed all the same", () => {
  const kinds: [printed: string, kind: JobError["kind"], message: RegExp][] = [
    ["gone\n", "precondition", /it is ending/],
    ["refused /x/memory.max 5 used 9\n", "precondition", /uses 9 bytes of memory .*nothing was/],
    [
      "refused /x/cpu.max 1 2 Invalid argument\n",
      "precondition",
      /kernel refused cpu\.max = 1 2: Invalid argument; nothing was changed/,
    ],
    [
      "refused /x/cpuset.cpus 0-7 has 0-1\n",
      "precondition",
      /^Cannot update the job: of its allowed CPUs 0-7 the server's host has not all: it gives jobs 0-1; nothing/,
    ],
    ["refused /x/cpu.max 1 2 Invalid argument\nkept /x/pids.max 5\n", "internal", /not known/],
  ];
  for (const [printed, kind, message] of kinds) {
    assert.throws(
      () => readUpdate(printed, {}),
      (error) => error instanceof JobError && error.kind === kind && message.test(error.message),
      printed,
    );
  }
});

/** Runs the script over the files of a group. */
async function update(group: string, settings: readonly string[], disks: readonly string[] = []) {
  const paths = (lines: readonly string[]) =>
    lines.map((line) => line.replace(/^(\??)/, `$1${group}/`)).join("\n");
  const printed = await runScript(scripts.update, [paths(settings), paths(disks)]);
  return printed.replaceAll(`${group}/`, "");
}

async function filesOf(group: string): Promise<Record<string, string>> {
  const entries = await Array.fromAsync(Deno.readDir(group));
  const texts = entries.filter(({ isFile }) => isFile).map(async ({ name }) =>
    [name, (await Deno.readTextFile(join(group, name))).trim()] as const
  );
  return Object.fromEntries(await Promise.all(texts));
}

Deno.test("update.sh: writes the files in their order, and passes over those that a kernel lacks", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("job", {
    "cpu.max": "max 100000\n",
    "memory.limit_in_bytes": "7\n",
  });
  const settings = ["cpu.max 5 100", "?memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes 9"];
  assert.equal(await update(group, settings), "memory 9\n");
  assert.deepEqual(await filesOf(group), { "cpu.max": "5 100", "memory.limit_in_bytes": "9" });
});

Deno.test("update.sh: where one is refused, what was written before is written back", async () => {
  await using groups = await FakeGroups.make();
  const before = { "cpu.max": "max 100000", "pids.max": "max" };
  const group = await groups.group("job", {
    "cpu.max": "max 100000\n",
    "pids.max": "max\n",
  });
  // Every process may read it, and none may write.
  await Deno.symlink("/proc/version", join(group, "memory.limit_in_bytes"));
  const printed = await update(group, ["cpu.max 5 100", "pids.max 3", "memory.limit_in_bytes 9"]);
  assert.match(printed, /^refused memory\.limit_in_bytes 9 \S.*\n$/);
  assert.deepEqual(await filesOf(group), before);
});

Deno.test("update.sh: the groups of a job that has ended are gone", async () => {
  await using groups = await FakeGroups.make();
  assert.equal(await update(groups.path("absent"), ["pids.max 3"]), "gone\n");
});

Deno.test("update.sh: memory that is used and cannot be freed is no reason to kill the job", async () => {
  await using groups = await FakeGroups.make();
  const files = {
    "memory.max": "max",
    "memory.high": "777",
    "memory.current": "500",
    "memory.swap.max": "max",
  };
  const group = await groups.group(
    "job",
    Object.fromEntries(Object.entries(files).map(([name, text]) => [name, `${text}\n`])),
  );
  const settings = ["?memory.swap.max 0", "memory.max 400"];
  assert.equal(await update(group, settings), "refused memory.max 400 used 500\n");
  assert.deepEqual(await filesOf(group), files);
  assert.equal(await update(group, ["memory.max 600"]), "memory 600\n");
  assert.deepEqual(await filesOf(group), { ...files, "memory.max": "600" });
});

Deno.test("update.sh: v2 gives a group all CPUs where it has none of those of a list; that is a refusal", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("parent/job", {
    "pids.max": "7\n",
    "cpuset.cpus": "\n",
    "cpuset.cpus.effective": "0-1\n",
  });
  await groups.group("parent", { "cpuset.cpus.effective": "0-1\n" });
  assert.equal(await update(group, ["pids.max 3", "cpuset.cpus 0-1"]), "");
  assert.equal((await filesOf(group))["cpuset.cpus"], "0-1");
  assert.equal(
    await update(group, ["pids.max 5", "cpuset.cpus 2"]),
    "refused cpuset.cpus 2 has 0-1\n",
  );
  assert.deepEqual([(await filesOf(group))["cpuset.cpus"], (await filesOf(group))["pids.max"]], [
    "0-1",
    "3",
  ]);
  assert.equal(await update(group, ["cpuset.cpus "]), "");
  assert.equal((await filesOf(group))["cpuset.cpus"], "");
});

Deno.test("update.sh: v1 takes no empty list, so all CPUs are those of the parent", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("parent/job", { "cpuset.cpus": "1\n" });
  await groups.group("parent", { "cpuset.cpus": "0-3\n" });
  assert.equal(await update(group, ["?cpuset.cpus "]), "");
  assert.equal((await filesOf(group))["cpuset.cpus"], "0-3");
});

/** Why this host has no disk. */
const noDisk = await runScript(scripts.disks, [""]) === "disks\n" ? "no disk" : undefined;

testUnless(noDisk, {
  name: "update.sh: the limit of each disk is set, after the others, which a refusal puts back",
  async fn() {
    await using groups = await FakeGroups.make();
    const group = await groups.group("job", { "io.max": "" });
    assert.equal(await update(group, [], ["io.max rbps=5"]), "");
    assert.match(await Deno.readTextFile(join(group, "io.max")), /^\d+:\d+ rbps=5\n$/);
    await Deno.remove(join(group, "io.max"));
    await Deno.symlink("/proc/version", join(group, "io.max"));
    await Deno.writeTextFile(join(group, "pids.max"), "7\n");
    assert.match(
      await update(group, ["pids.max 3"], ["io.max rbps=5"]),
      /^refused io\.max \d+:\d+ rbps=5 Input\/output error\n$/,
    );
    assert.equal(await Deno.readTextFile(join(group, "pids.max")), "7\n");
  },
});
