import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parentGroups, parentWeights, planGroups } from "../../lib/cgroup.ts";
import { parseOomKills, parseUsage } from "../../lib/cgroup/counters.ts";
import { type CgroupHost, type CounterName, type Plan } from "../../lib/cgroup/types.ts";
import { isJobId } from "../../common/job_id.ts";
import { parseHostReport, toCgroupHost, v2ControllersOf } from "../../lib/cgroup/host.ts";
import { JobError } from "../../lib/errors.ts";
import type { Limits } from "../../lib/limits.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

const ALL_LIMITS: Limits = {
  cpuCores: 0.5,
  memoryBytes: 268_435_456,
  readBytesPerSecond: 10_000_000,
  writeBytesPerSecond: 5_000_000,
  processes: 100,
};

Deno.test("parseHostReport: a hybrid host, as captured", () => {
  const report = parseHostReport(fixture("probe_hybrid.txt"));
  assert.equal(report.bootId, "9832c91b-1028-4bb3-bf34-8aefaa8b0122");
  assert.deepEqual(report.missingPrograms, []);
  assert.deepEqual(report.inheritedDescriptors, []);
  assert.equal(report.processors, undefined);
  assert.equal(parseHostReport("processors 0-3\n").processors, "0-3");
  assert.deepEqual(parseHostReport("descriptor 12\ndescriptor 113\n").inheritedDescriptors, [
    12,
    113,
  ]);
  const host = hostOf("probe_hybrid.txt");
  assert.equal(host.kind, "hybrid");
  assert.deepEqual(controllersByFolder(host), {
    "/sys/fs/cgroup/cpu": ["cpu"],
    "/sys/fs/cgroup/cpuacct": ["cpuacct"],
    "/sys/fs/cgroup/cpuset": ["cpuset"],
    "/sys/fs/cgroup/memory": ["memory"],
    "/sys/fs/cgroup/blkio": ["io"],
    "/sys/fs/cgroup/pids": ["pids"],
    "/sys/fs/cgroup/unified": [],
  });
});

Deno.test("parseHostReport: a pure v2 host has all in one tree", () => {
  const host = hostOf("probe_v2.txt");
  assert.equal(host.kind, "v2");
  assert.deepEqual(controllersByFolder(host), {
    "/sys/fs/cgroup": ["cpu", "cpuacct", "memory", "io", "pids", "cpuset"],
  });
  assert.deepEqual(parentGroups(host), ["/sys/fs/cgroup/job-worker"]);
});

Deno.test("parseHostReport: a pure v1 host kills by the freezer; joined controllers share a group", () => {
  assert.deepEqual(parseHostReport(fixture("probe_v1.txt")).missingPrograms, ["fallocate"]);
  const why = "fallocate (busybox's cannot)";
  assert.deepEqual(parseHostReport(`missing ${why}\n`).missingPrograms, [why]);
  const host = hostOf("probe_v1.txt");
  assert.equal(host.kind, "v1");
  const plan = planGroups(host, ID, {});
  assert.equal(plan.tracker, `/sys/fs/cgroup/freezer/job-worker/${ID}`);
  assert.equal(plan.populatedFile, `${plan.tracker}/cgroup.procs`);
  assert(plan.groups.includes(`/sys/fs/cgroup/cpu,cpuacct/job-worker/${ID}`));
  assert.equal(plan.groups.length, 5);
});

Deno.test("parentWeights: all jobs together weigh less than a program beside them, and launchers more than a job", () => {
  const weightsOf = (name: string) =>
    parentWeights(hostOf(name)).map(({ file, value }) => `${file.slice(15)} ${value}`);
  assert.deepEqual(weightsOf("probe_v2.txt"), [
    "job-worker/cpu.weight 10",
    "job-worker/io.weight 10",
    "job-worker/io.bfq.weight 10",
    "job-worker/launchers/cpu.weight 10000",
  ]);
  const hybrid = weightsOf("probe_hybrid.txt");
  assert(hybrid.includes("cpu/job-worker/cpu.shares 102"), hybrid.join());
  assert(hybrid.includes("blkio/job-worker/blkio.weight 50"), hybrid.join());
});

Deno.test("toCgroupHost: a host without control groups, or with none below /sys/fs/cgroup", () => {
  const texts = [
    "",
    "junk\n\nmount\nmount cgroup\n",
    "mount cgroup2 /mnt/cgroup rw\ncontrollers /mnt/cgroup cpu memory\n",
    "mount cgroup /sys/fs/cgroupx/cpu rw,cpu\n",
    "mount cgroup /sys/fs/cgroup/systemd rw,name=systemd\n",
  ];
  for (const text of texts) assert.equal(toCgroupHost(parseHostReport(text), "p"), undefined, text);
});

Deno.test("toCgroupHost: a controller is used once, where it is mounted as v1", () => {
  const text = "mount cgroup /sys/fs/cgroup/memory rw,memory\n" +
    "mount cgroup /sys/fs/cgroup/again rw,memory\n" +
    "mount cgroup2 /sys/fs/cgroup/unified rw\n" +
    "controllers /sys/fs/cgroup/unified cpu memory io\n";
  const host = toCgroupHost(parseHostReport(text), "job-worker");
  assert(host);
  assert.equal(host.kind, "hybrid");
  assert.deepEqual(controllersByFolder(host), {
    "/sys/fs/cgroup/memory": ["memory"],
    "/sys/fs/cgroup/unified": ["cpu", "cpuacct", "io"],
  });
});

Deno.test("v2ControllersOf: CPU time is counted in every group", () => {
  assert.deepEqual(v2ControllersOf([]), ["cpuacct"]);
  assert.deepEqual(v2ControllersOf(["rdma", "io", "cpu"]), ["cpu", "cpuacct", "io"]);
});

Deno.test("planGroups: the files and values of v1", () => {
  const plan = planGroups(hostOf("probe_hybrid.txt"), ID, ALL_LIMITS);
  assert.deepEqual(
    settingsOf(plan),
    [
      `cpu/job-worker/${ID}/cpu.cfs_period_us = 100000`,
      `cpu/job-worker/${ID}/cpu.cfs_quota_us = 50000`,
      `memory/job-worker/${ID}/memory.limit_in_bytes = 268435456`,
      `memory/job-worker/${ID}/memory.memsw.limit_in_bytes = 268435456 (optional)`,
      `pids/job-worker/${ID}/pids.max = 100`,
      `blkio/job-worker/${ID}/blkio.throttle.read_bps_device = DISK 10000000`,
      `blkio/job-worker/${ID}/blkio.throttle.write_bps_device = DISK 5000000`,
    ].sort(),
  );
  assert.equal(plan.tracker, `/sys/fs/cgroup/unified/job-worker/${ID}`);
  assert.equal(plan.populatedFile, `${plan.tracker}/cgroup.events`);
});

Deno.test("planGroups: the files and values of v2", () => {
  const plan = planGroups(hostOf("probe_v2.txt"), ID, ALL_LIMITS);
  assert.deepEqual(plan.groups, [`/sys/fs/cgroup/job-worker/${ID}`]);
  assert.deepEqual(
    settingsOf(plan),
    [
      `job-worker/${ID}/cpu.max = 50000 100000`,
      `job-worker/${ID}/memory.max = 268435456`,
      `job-worker/${ID}/memory.swap.max = 0 (optional)`,
      `job-worker/${ID}/memory.oom.group = 1 (optional)`,
      `job-worker/${ID}/pids.max = 100`,
      `job-worker/${ID}/io.max = DISK rbps=10000000 wbps=5000000`,
    ].sort(),
  );
});

Deno.test("planGroups: what is not limited is not set", () => {
  for (const name of ["probe_v1.txt", "probe_v2.txt", "probe_hybrid.txt"]) {
    const plan = planGroups(hostOf(name), ID, {});
    assert.deepEqual(settingsOf(plan), []);
  }
  const writeOnly = planGroups(hostOf("probe_v2.txt"), ID, { writeBytesPerSecond: 4096 });
  assert.deepEqual(settingsOf(writeOnly), [`job-worker/${ID}/io.max = DISK wbps=4096`]);
});

Deno.test("planGroups: operations on disks and high memory, where the kernel has them", () => {
  const asked = { readOperationsPerSecond: 100, writeOperationsPerSecond: 50 };
  assert.deepEqual(
    settingsOf(planGroups(hostOf("probe_v2.txt"), ID, { ...asked, memoryHighBytes: 1e6 })),
    [
      `job-worker/${ID}/io.max = DISK riops=100 wiops=50`,
      `job-worker/${ID}/memory.high = 1000000`,
    ],
  );
  assert.deepEqual(settingsOf(planGroups(hostOf("probe_hybrid.txt"), ID, asked)), [
    `blkio/job-worker/${ID}/blkio.throttle.read_iops_device = DISK 100`,
    `blkio/job-worker/${ID}/blkio.throttle.write_iops_device = DISK 50`,
  ]);
  for (const name of ["probe_v1.txt", "probe_hybrid.txt"]) {
    assert.throws(
      () => planGroups(hostOf(name), ID, { memoryHighBytes: 1e6 }),
      (error) => error instanceof JobError && /memory controller of cgroup v2/.test(error.message),
    );
  }
});

Deno.test("planGroups: limits of a named disk are written after those for each disk", () => {
  const asked = {
    writeBytesPerSecond: 4096,
    disks: [{
      disk: "/dev/sdb",
      number: "8:16",
      writeBytesPerSecond: 8192,
      readOperationsPerSecond: 5,
    }],
  };
  assert.deepEqual(settingsOf(planGroups(hostOf("probe_v2.txt"), ID, asked)), [
    `job-worker/${ID}/io.max = 8:16 wbps=8192 riops=5`,
    `job-worker/${ID}/io.max = DISK wbps=4096`,
  ]);
  assert.deepEqual(settingsOf(planGroups(hostOf("probe_hybrid.txt"), ID, asked)), [
    `blkio/job-worker/${ID}/blkio.throttle.read_iops_device = 8:16 5`,
    `blkio/job-worker/${ID}/blkio.throttle.write_bps_device = 8:16 8192`,
    `blkio/job-worker/${ID}/blkio.throttle.write_bps_device = DISK 4096`,
  ]);
});

Deno.test("planGroups: on v1 only a job whose CPUs are chosen is in a group of that controller", () => {
  const cpus = (text: string) => planGroups(hostOf(text), ID, { allowedCpus: "0,2-3" });
  assert.deepEqual(settingsOf(cpus("probe_v2.txt")), [`job-worker/${ID}/cpuset.cpus = 0,2-3`]);
  const plan = cpus("probe_hybrid.txt");
  assert.deepEqual(settingsOf(plan), [`cpuset/job-worker/${ID}/cpuset.cpus = 0,2-3`]);
  assert.deepEqual(plan.entered, plan.groups);
  const without = planGroups(hostOf("probe_hybrid.txt"), ID, ALL_LIMITS);
  const group = `/sys/fs/cgroup/cpuset/job-worker/${ID}`;
  // On record, since an update may make it.
  assert.deepEqual(without.groups, plan.groups);
  assert.deepEqual(without.entered, plan.groups.filter((path) => path !== group));
  assert.throws(() => cpus("probe_v1.txt"), /the cpuset controller is not available/);
});

Deno.test("toCgroupHost: groups that most jobs are not in never tell whether a job is there", () => {
  const text = "mount cgroup /sys/fs/cgroup/cpuset rw,cpuset\n" +
    "mount cgroup /sys/fs/cgroup/pids rw,pids\n";
  const host = toCgroupHost(parseHostReport(text), "job-worker");
  assert(host);
  assert.equal(planGroups(host, ID, {}).tracker, `/sys/fs/cgroup/pids/job-worker/${ID}`);
});

Deno.test("planGroups: a limit that the host cannot hold fails, and is not dropped", () => {
  const host: CgroupHost = {
    kind: "v2",
    hierarchies: [{ version: 2, folder: "/sys/fs/cgroup", controllers: ["cpuacct"] }],
    parent: "job-worker",
  };
  const names: Record<keyof Limits, RegExp> = {
    cpuCores: /CPU limit \(the cpu controller/,
    memoryBytes: /memory limit \(the memory controller/,
    readBytesPerSecond: /disk I\/O limit \(the io controller/,
    writeBytesPerSecond: /disk I\/O limit \(the io controller/,
    processes: /process limit \(the pids controller/,
    memoryHighBytes: /high memory limit: it takes the memory controller of cgroup v2/,
    readOperationsPerSecond: /disk I\/O limit \(the io controller/,
    writeOperationsPerSecond: /disk I\/O limit \(the io controller/,
    allowedCpus: /choice of CPUs \(the cpuset controller/,
    disks: /disk I\/O limit \(the io controller/,
  };
  for (const [name, expected] of Object.entries(names)) {
    assert.throws(() => planGroups(host, ID, { [name]: 1e6 }), (error) => {
      assert(error instanceof JobError);
      assert.equal(error.kind, "precondition");
      assert.match(error.message, expected);
      return true;
    });
  }
  assert.deepEqual(settingsOf(planGroups(host, ID, {})), []);
});

Deno.test("isJobId: nothing else becomes part of a path", () => {
  assert(isJobId(ID));
  const others = [
    "",
    "..",
    "../../etc",
    ID.toUpperCase(),
    `${ID}/`,
    `/${ID}`,
    `${ID}\n`,
    `${ID}\0`,
    ID.slice(1),
    ID.replaceAll("-", ""),
    `{${ID}}`,
  ];
  for (const text of others) {
    assert(!isJobId(text), JSON.stringify(text));
    assert.throws(() => planGroups(hostOf("probe_v2.txt"), text, {}), /not a job id/);
  }
});

Deno.test("parseUsage: the kernel's own words, v1", () => {
  const counters = new Map<CounterName, string>([
    ["cpu.stat", "nr_periods 20\nnr_throttled 19\nthrottled_time 950123456\n"],
    ["cpuacct.usage", "1000123456\n"],
    ["memory.usage_in_bytes", "544768\n"],
    ["memory.max_usage_in_bytes", "684032\n"],
    ["memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"],
    [
      "blkio.throttle.io_service_bytes_recursive",
      "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 8192\n254:0 Async 4096\n254:0 Discard 0\n" +
      "254:0 Total 12288\n253:0 Read 1\n253:0 Write 2\nTotal 12291\n",
    ],
    ["pids.current", "7\n"],
  ]);
  assert.deepEqual(parseUsage(counters), {
    cpuUsec: 1_000_123,
    cpuThrottledUsec: 950_123,
    memoryBytes: 544_768,
    memoryPeakBytes: 684_032,
    readBytes: 4097,
    writtenBytes: 8194,
    processes: 7,
  });
  assert.equal(parseOomKills(counters), 3);
});

Deno.test("parseUsage: the kernel's own words, v2", () => {
  const counters = new Map<CounterName, string>([
    [
      "cpu.stat",
      "usage_usec 501234\nuser_usec 400000\nsystem_usec 101234\nnr_periods 10\n" +
      "nr_throttled 9\nthrottled_usec 450000\n",
    ],
    ["memory.current", "1048576\n"],
    ["memory.peak", "2097152\n"],
    ["memory.events", "low 0\nhigh 0\nmax 57\noom 1\noom_kill 1\noom_group_kill 1\n"],
    [
      "io.stat",
      "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n" +
      "253:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=9 dios=9\n",
    ],
    ["pids.current", "1\n"],
  ]);
  assert.deepEqual(parseUsage(counters), {
    cpuUsec: 501_234,
    cpuThrottledUsec: 450_000,
    memoryBytes: 1_048_576,
    memoryPeakBytes: 2_097_152,
    readBytes: 4097,
    writtenBytes: 8194,
    processes: 1,
  });
  assert.equal(parseOomKills(counters), 1);
});

Deno.test("parseUsage: what is missing or strange is not counted, and never a number of its own", () => {
  assert.deepEqual(parseUsage(new Map()), {});
  assert.equal(parseOomKills(new Map()), 0);
  const strange: [CounterName, string][] = [
    ["memory.current", "max\n"],
    ["memory.peak", "-1\n"],
    ["pids.current", "\n"],
    ["cpuacct.usage", "12 34\n"],
    ["cpu.stat", "usage_usecs 5\nxusage_usec 5\nusage_usec five\n"],
    ["memory.oom_control", "oom_kill_disable 1\n"],
  ];
  assert.deepEqual(parseUsage(new Map(strange)), {});
  assert.equal(parseOomKills(new Map(strange)), 0);
});

function fixture(name: string): string {
  return Deno.readTextFileSync(join(import.meta.dirname ?? ".", "..", "fixtures", name));
}

function hostOf(name: string): CgroupHost {
  const host = toCgroupHost(parseHostReport(fixture(name)), "job-worker");
  assert(host);
  return host;
}

function controllersByFolder(host: CgroupHost): Record<string, readonly string[]> {
  return Object.fromEntries(
    host.hierarchies.map(({ folder, controllers }) => [folder, controllers]),
  );
}

/** Settings as text, without the common beginning of their paths, sorted. */
function settingsOf(plan: Plan): string[] {
  const name = (file: string) => file.slice("/sys/fs/cgroup/".length);
  return [
    ...plan.settings.map(({ file, value, optional }) =>
      `${name(file)} = ${value}${optional === true ? " (optional)" : ""}`
    ),
    ...plan.diskSettings.map(({ file, value }) => `${name(file)} = DISK ${value}`),
  ].sort();
}
