/** Limits on this kernel: the files hold the values, and the values hold the job. */
// Attacks: limits, by jobs that want more.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { basename, join } from "node:path";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";
import { testUnless } from "../support/skip.ts";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { assertNothingStarted, groupsOf } from "../support/job_traces.ts";

const MIB = 1024 ** 2;

/** Where the tests write on a real disk, and the disk's name and number. */
const DISK = await findDisk("/var/tmp");

/** Reads a kernel file of a job, by the v1 or v2 name, whichever this host has. */
async function kernelFile(jobId: string, ...names: string[]): Promise<string> {
  for (const group of await groupsOf(jobId)) {
    for (const name of names) {
      const text = await Deno.readTextFile(join(group, name)).catch(() => undefined);
      if (text !== undefined) return text.trim();
    }
  }
  throw new Error(`no group of the job has ${names}`);
}

const cpuOf = (id: string) => kernelFile(id, "cpu.cfs_quota_us", "cpu.max");
const memoryOf = (id: string) => kernelFile(id, "memory.limit_in_bytes", "memory.max");
const writesOf = (id: string) => kernelFile(id, "blkio.throttle.write_bps_device", "io.max");

Deno.test("limits: the kernel's files hold what the limit files say", async () => {
  await using server = await TestServer.start({ flags: ["--max-processes", "77"] });
  const alice = server.client();
  const cases = [
    { cpu: "50%", memory: "256M", diskIo: "10MB/s", files: [50_000, 256 * MIB, 10_000_000] },
    { cpu: "200%\r\n", memory: " 64MiB \n", diskIo: "1MiB/s\n", files: [200_000, 64 * MIB, MIB] },
    { cpu: "1.5%", memory: "1G", diskIo: "write=5MB/s", files: [1500, 1024 * MIB, 5_000_000] },
  ];
  for (const { files: [quota, bytes, rate], ...limits } of cases) {
    await server.setLimits(limits);
    const id = await alice.start("sleep", "1000");
    assert.match(await cpuOf(id), new RegExp(`^${quota}( 100000)?$`));
    assert.equal(await memoryOf(id), String(bytes));
    assert.match(await writesOf(id), new RegExp(`^\\d+:\\d+ (.*wbps=)?${rate}\\b`, "m"));
    assert.equal(await kernelFile(id, "pids.max"), "77");
    await alice.stop(id, 0);
  }
});

Deno.test("limits: max and an empty file set nothing", async () => {
  for (const text of ["max", "", " \r\n"]) {
    await using server = await TestServer.start({
      limits: { cpu: text, memory: text, diskIo: text },
    });
    const alice = server.client();
    const id = await alice.start("sleep", "1000");
    assert.match(await cpuOf(id), /^(-1|max 100000)$/);
    assert(!(Number(await memoryOf(id)) < 2 ** 50));
    assert.equal(await writesOf(id), "");
    const { limits } = await alice.query(id);
    assert.equal(limits?.cpuCores, undefined);
    assert.equal(limits?.memoryBytes, undefined);
    await alice.stop(id, 0);
  }
});

Deno.test("limits: files changed between two starts take effect for the second", async () => {
  await using server = await TestServer.start({ limits: { cpu: "50%", memory: "64M" } });
  const alice = server.client();
  const first = await alice.start("sleep", "1000");
  await server.setLimits({ cpu: "25%", memory: "32M" });
  const second = await alice.start("sleep", "1000");
  assert.match(await cpuOf(first), /^50000/);
  assert.match(await cpuOf(second), /^25000/);
  assert.equal((await alice.query(first)).limits?.memoryBytes, 64 * MIB);
  assert.equal((await alice.query(second)).limits?.memoryBytes, 32 * MIB);
  await alice.stop(first, 0);
  await alice.stop(second, 0);
});

Deno.test("limits: a bad file refuses the start with its name, its text and what was expected", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const file = (name: string) => join(server.folder, `${name}_limit.txt`);
  const texts: Record<string, string[]> = {
    cpu: ["abc", "-1", "0%", "50", "50%%", "9".repeat(300) + "%", "\0\xff\xfe", "max\nmax"],
    memory: ["abc", "-1", "0", "256MB", "1K", "9".repeat(300), "max 1G"],
    disk_io: ["abc", "-1", "0MB/s", "10MB", "9".repeat(300) + "MB/s", "read=1MB/s read=1MB/s"],
  };
  for (const [name, bad] of Object.entries(texts)) {
    for (const text of bad) {
      await Deno.writeTextFile(file(name), text);
      const { details } = await assertStatus(
        alice.start("true"),
        status.FAILED_PRECONDITION,
        new RegExp(`^Cannot start the job: limit file ${name}_limit\\.txt: .*expected`),
      );
      assert(details.includes(JSON.stringify(text).slice(1, 40).replace(/"$/, "")), details);
      assert(!details.includes("\n") && details.length < 500, details);
    }
    await Deno.remove(file(name));
    await assertStatus(alice.start("true"), status.FAILED_PRECONDITION, /is missing on the server/);
    await Deno.mkdir(file(name));
    await assertStatus(alice.start("true"), status.FAILED_PRECONDITION, /cannot be read/);
    await Deno.remove(file(name));
    await Deno.writeTextFile(file(name), "max".padEnd(100_000));
    await assertStatus(alice.start("true"), status.FAILED_PRECONDITION, /longer than/);
    await server.setLimits({});
  }
  await assertNothingStarted(server);
  const id = await alice.start("true");
  assert.equal((await alice.wait(id)).exitCode, 0);
});

Deno.test("limits: what the kernel refuses is said with file, value and reason, and nothing runs", async () => {
  await using server = await TestServer.start({ flags: ["--max-processes", "999999999999"] });
  await assertStatus(
    server.client().start("true"),
    status.FAILED_PRECONDITION,
    /kernel refused pids\.max = 999999999999: \w+/,
  );
  await assertNothingStarted(server);
});

Deno.test("limits: a busy loop at 50% gets half a core", async () => {
  await using server = await TestServer.start({ limits: { cpu: "50%" } });
  const { share, throttledUsec } = await burn(server, 1);
  // Others may take a part of the core; more than its half it must not get.
  assert(share > 0.15 && share < 0.6, `it got ${share} cores`);
  assert(throttledUsec > 100_000, `it was throttled for ${throttledUsec} us only`);
});

testUnless(navigator.hardwareConcurrency < 2 ? "one core cannot show a limit of two" : undefined, {
  name: "limits: two busy loops share what 150% are",
  fn: async () => {
    await using server = await TestServer.start({ limits: { cpu: "150%" } });
    const { share } = await burn(server, 2);
    // Others may take a part of the cores.
    assert(share > 0.3 && share < 1.65, `they got ${share} cores`);
  },
});

Deno.test("limits: an allocation beyond the limit is killed by the kernel, and said to be", async () => {
  await using server = await TestServer.start({ limits: { memory: "32M" } });
  const alice = server.client();
  const id = await alice.shell("x=0123456789abcdef; while :; do x=$x$x; done");
  const { exitCode, signal, oomKilled, usage } = await alice.wait(id);
  assert.deepEqual([exitCode, signal, oomKilled], [137, 9, true]);
  const peak = usage?.memoryPeakBytes ?? 0;
  assert(peak > 16 * MIB && peak <= 32 * MIB, `the peak was ${peak}`);
});

Deno.test("limits: a kill without want of memory is not said to be one", async () => {
  await using server = await TestServer.start({ limits: { memory: "32M" } });
  const alice = server.client();
  const id = await alice.shell("kill -KILL $$");
  const { exitCode, signal, oomKilled } = await alice.wait(id);
  assert.deepEqual([exitCode, signal, oomKilled], [137, 9, false]);
});

Deno.test("limits: a child that is killed for want of memory is told, though the job lives", async () => {
  await using server = await TestServer.start({ limits: { memory: "32M" } });
  const alice = server.client();
  const id = await alice.shell('sh -c "x=0123456789; while :; do x=\\$x\\$x; done"; exit 5');
  const { exitCode, oomKilled } = await alice.wait(id);
  assert.equal(oomKilled, true);
  // cgroup v2 kills the job as a whole.
  assert([5, 137].includes(exitCode), `exit code ${exitCode}`);
});

testUnless(DISK.reason, {
  name: "limits: direct writes are held to the limit",
  fn: async () => {
    await using server = await TestServer.start({ limits: { diskIo: "4MB/s" } });
    const rate = await transfer(server, "if=/dev/zero of=$f bs=1M count=12 oflag=direct");
    assert(rate > 2e6 && rate < 5e6, `${rate} bytes a second`);
  },
});

testUnless(DISK.reason, {
  name: "limits: reads are held to the limit",
  fn: async () => {
    await using server = await TestServer.start({ limits: { diskIo: "read=4MB/s" } });
    const prepare = "dd if=/dev/zero of=$f bs=1M count=12 oflag=direct 2>/dev/null; ";
    const rate = await transfer(server, "if=$f of=/dev/null bs=1M iflag=direct", prepare);
    assert(rate > 2e6 && rate < 5e6, `${rate} bytes a second`);
  },
});

Deno.test("limits: processes beyond the bound are refused to the job alone", async () => {
  await using server = await TestServer.start({ flags: ["--max-processes", "5"] });
  const alice = server.client();
  const id = await alice.shell("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all; wait");
  const { exitCode } = await alice.wait(id);
  assert.notEqual(exitCode, 0);
  assert.match(await alice.text(id), /fork|Resource temporarily unavailable/i);
});

/** Runs busy loops for three seconds: what they got of the cores, and how long they were held. */
async function burn(
  server: TestServer,
  loops: number,
): Promise<{ share: number; throttledUsec: number }> {
  const alice = server.client();
  const loop = "timeout 3 sh -c 'while :; do :; done' & ";
  const id = await alice.shell(`${loop.repeat(loops)} wait`);
  const { usage, startedAtMs, endedAtMs } = await alice.wait(id);
  const wallUsec = (Number(endedAtMs) - Number(startedAtMs)) * 1000;
  return {
    share: (usage?.cpuUsec ?? 0) / wallUsec,
    throttledUsec: usage?.cpuThrottledUsec ?? 0,
  };
}

/** Bytes a second of a dd that moves 12 MiB, by dd's own word; `$f` is a file on the disk. */
async function transfer(server: TestServer, operands: string, prepare = ""): Promise<number> {
  const alice = server.client();
  const id = await alice.shell(
    `f=$(mktemp -p "$1") || exit 1; trap 'rm -f "$f"' EXIT; ${prepare}LC_ALL=C dd ${operands}`,
    DISK.folder,
  );
  const { exitCode } = await alice.wait(id);
  const text = await alice.text(id);
  assert.equal(exitCode, 0, text);
  const seconds = Number(/copied, ([\d.e+-]+) s/.exec(text)?.[1]);
  return 12 * MIB / seconds;
}

/** Whether a folder lies on a disk that the kernel can throttle, and dd may write to directly. */
async function findDisk(folder: string): Promise<{ folder: string; reason: string | undefined }> {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  const { dev } = await Deno.stat(folder);
  const isDisk = mounts.split("\n").some((line) => {
    const [, , number, , , ...rest] = line.split(" ");
    const [major = 0, minor = 0] = (number ?? "").split(":").map(Number);
    return rest.join(" ").includes(" - ext4 /dev/") || rest.join(" ").includes(" - xfs /dev/")
      ? dev === major * 256 + minor
      : false;
  });
  return { folder, reason: isDisk ? undefined : `${folder} is not on a disk of its own` };
}

Deno.test("limits: a disk that comes while a job runs is held to its limit", async () => {
  await using server = await TestServer.start({ limits: { diskIo: "write=5MB/s" } });
  const client = server.client();
  const id = await client.start("sleep", "600");
  const image = `${server.folder}/image`;
  await Deno.writeFile(image, new Uint8Array(1024 ** 2));
  const { stdout, code, stderr } = await run("losetup", ["--find", "--show", image]);
  assert.equal(code, 0, stderr);
  const disk = stdout.trim();
  try {
    const number = Deno.readTextFileSync(`/sys/block/${basename(disk)}/dev`).trim();
    await until(
      "the limit for the new disk",
      async () => new RegExp(`^${number} (.*wbps=)?5000000\\b`, "m").test(await writesOf(id)),
    );
  } finally {
    await run("losetup", ["--detach", disk]);
  }
});
