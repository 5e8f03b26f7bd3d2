/** Limits on pure cgroup v2: the kernel has the values, and holds them. */
import { strict as assert } from "node:assert";
import { assertGone } from "../support/job_traces.ts";
import { deviceNumber, groupFile, guestTest, runJob, sharedServer, startServer } from "./guest.ts";

const MIB = 1024 ** 2;

guestTest("limits: the kernel has each value, and that of I/O for the whole disk", async () => {
  await using server = await startServer({
    limits: { cpu: "50%", memory: "64M", diskIo: "read=3MB/s write=2MB/s" },
    flags: ["--max-processes", "77"],
  });
  const client = server.client();
  const jobId = await client.shell("sleep 600");
  const file = (name: string) => groupFile(server, jobId, name);
  assert.equal(await file("cpu.max"), "50000 100000");
  assert.equal(await file("memory.max"), String(64 * MIB));
  assert.equal(await file("memory.swap.max"), "0");
  assert.equal(await file("memory.oom.group"), "1");
  assert.equal(await file("pids.max"), "77");
  const limited = (await file("io.max")).split("\n");
  const disk = await deviceNumber("vda");
  assert(limited.includes(`${disk} rbps=3000000 wbps=2000000 riops=max wiops=max`), limited.join());
  // A limit cannot be set for a partition.
  assert.notEqual(await deviceNumber("vda1"), disk);
  await client.stop(jobId, 0);
  await assertGone(jobId);
});

guestTest(
  "limits: the CPUs of a job, where the groups above hand the controller down",
  async () => {
    const handedDown = "/sys/fs/cgroup/cgroup.subtree_control";
    const ask = { name: "sleep", args: ["600"], limits: { allowedCpus: "0" } };
    if (!(await Deno.readTextFile(handedDown)).includes("cpuset")) {
      await using server = await startServer();
      await assert.rejects(
        server.client().startWith(ask),
        /the cpuset controller is not available/,
      );
      assert(
        !(await Deno.readTextFile(handedDown)).includes("cpuset"),
        "the server has changed it",
      );
      await Deno.writeTextFile(handedDown, "+cpuset");
    }
    await using server = await startServer();
    const client = server.client();
    const jobId = await client.startWith(ask);
    const cpus = () => groupFile(server, jobId, "cpuset.cpus");
    assert.equal(await cpus(), "0");
    await client.update(jobId, { reset: ["allowed_cpus"] });
    // The guest's only one; the kernel takes no empty list of a group with processes in it.
    assert.equal(await cpus(), "0");
    assert.equal((await client.query(jobId)).limits?.allowedCpus, undefined);
    await client.update(jobId, { limits: { allowedCpus: "0" } });
    await assert.rejects(
      client.update(jobId, { limits: { allowedCpus: "0,8000", processes: 9 } }),
      /of its allowed CPUs 0,8000 the server's host has not all: it gives jobs 0/,
    );
    assert.equal(await cpus(), "0");
    await client.stop(jobId, 0);
    await assertGone(jobId);
  },
);

guestTest("limits: none are set where the files say max", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.shell("sleep 600");
  const file = (name: string) => groupFile(server, jobId, name);
  assert.equal(await file("cpu.max"), "max 100000");
  assert.equal(await file("memory.max"), "max");
  assert.equal(await file("memory.swap.max"), "max");
  assert.equal(await file("io.max"), "");
  await client.stop(jobId, 0);
});

guestTest("limits: cpu.max holds a busy job to its share, and Query counts it", async () => {
  const server = await sharedServer({ cpu: "40%" });
  const { status, seconds } = await runJob(
    server.client(),
    "timeout 5 sh -c 'while :; do :; done'",
  );
  const share = (status.usage?.cpuUsec ?? 0) / 1e6 / seconds;
  assert(share > 0.2 && share < 0.5, `${share} of a core in ${seconds} s`);
  assert((status.usage?.cpuThrottledUsec ?? 0) > 1e6, "throttled time is counted");
});

guestTest("limits: a job above memory.max is killed whole, and said to be OOM-killed", async () => {
  const server = await sharedServer({ memory: "48M" });
  const client = server.client();
  // The shell and the sleepers are far below the limit: only memory.oom.group ends them.
  const { status, text } = await runJob(
    client,
    'setsid sleep 601 & sleep 602 & echo begun; head -c 200M /dev/zero | tail -c 150M >/dev/null; echo "survived"',
  );
  assert.equal(text, "begun\n");
  assert.equal(status.oomKilled, true);
  assert.equal(status.exitCode, 137);
  assert.equal(status.signal, 9);
  const peak = status.usage?.memoryPeakBytes ?? 0;
  assert(peak > 40 * MIB && peak <= 48 * MIB, `a peak of ${peak} bytes`);
});

guestTest("limits: memory is not gone around by swapping", async () => {
  const swaps = (await Deno.readTextFile("/proc/swaps")).trim().split("\n");
  assert.equal(swaps.length, 2, "the guest has room to swap to");
  const server = await sharedServer({ memory: "32M" });
  // 80 MiB would fit into memory and swap together.
  const { status } = await runJob(server.client(), "head -c 80M /dev/zero | tail -c 70M | wc -c");
  assert.equal(status.oomKilled, true);
});

guestTest("limits: a job killed by a SIGKILL of its own is not said to be OOM-killed", async () => {
  const server = await sharedServer({ memory: "48M" });
  const { status } = await runJob(server.client(), "kill -KILL $$");
  assert.equal(status.exitCode, 137);
  assert.equal(status.signal, 9);
  assert.equal(status.oomKilled, false);
});

guestTest("limits: io.max holds plain buffered writes, since memory goes with it", async () => {
  const write = "dd if=/dev/zero of=/var/tmp/written bs=256K count=128 2>&1; rm /var/tmp/written";
  const server = await sharedServer({ memory: "16M", diskIo: "write=4MB/s" });
  const { status, seconds, text } = await runJob(server.client(), write);
  assert.match(text, /33554432 bytes/);
  // What fits into the job's memory may stay there; the rest has gone through the limit.
  const atLeastSeconds = (32 - 16) * MIB / 4e6 * 0.8;
  assert(seconds > atLeastSeconds, `${seconds} s, expected ${atLeastSeconds} or more`);
  assert((status.usage?.writtenBytes ?? 0) > 8 * MIB, "written bytes are counted");
  await server.setLimits({ memory: "16M" });
  const unlimited = await runJob(server.client(), write);
  assert(unlimited.seconds < seconds, `without a limit it took ${unlimited.seconds} s`);
});

guestTest("limits: io.max holds reads and synced writes to their rates", async () => {
  const server = await sharedServer({ diskIo: "read=2MB/s write=2MB/s" });
  const client = server.client();
  const copy = "dd of=/var/tmp/copied if=/dev/zero bs=256K count=24 oflag=direct 2>&1";
  const written = await runJob(client, copy);
  assert(written.seconds > 2.3, `6 MiB were written in ${written.seconds} s`);
  const read = await runJob(client, "dd if=/var/tmp/copied of=/dev/null bs=256K iflag=direct 2>&1");
  assert(read.seconds > 2.3, `6 MiB were read in ${read.seconds} s`);
  assert((read.status.usage?.readBytes ?? 0) >= 6 * MIB, "read bytes are counted");
  await Deno.remove("/var/tmp/copied");
});

guestTest("limits: pids.max stops a job's forks, and only that job's", async () => {
  const server = await sharedServer();
  const client = server.client();
  const jobId = await client.script(
    'for number in $(seq 60); do sleep 600 & echo "forked $number"; done; echo "all"',
    { limits: { processes: 20 } },
  );
  const status = await client.wait(jobId);
  const text = await client.text(jobId);
  assert.match(text, /annot fork/);
  assert.doesNotMatch(text, /forked 21$|^all/m);
  assert.equal(status.exitCode, 2);
  await assertGone(jobId);
  assert.equal((await runJob(client, "true & wait; echo fine")).text, "fine\n");
});

guestTest("limits: a limit that the kernel refuses starts nothing", async () => {
  await using server = await startServer({ flags: ["--max-processes", "9999999999"] });
  await assert.rejects(server.client().shell("true"), /pids\.max/);
});

guestTest("limits: controllers are handed down through a parent of several levels", async () => {
  const parent = "outer.slice/inner.slice/jobs";
  await using server = await startServer({
    limits: { cpu: "50%", memory: "64M", diskIo: "5MB/s" },
    flags: ["--cgroup-parent", parent],
  });
  const client = server.client();
  const jobId = await client.shell("cat /proc/self/cgroup; sleep 600");
  await client.untilOutput(jobId, new RegExp(`^0::/${parent}/${jobId}$`, "m"));
  await client.stop(jobId, 0);
});

guestTest(
  "limits: those of a running job change together, and memory in use is not taken from it",
  async () => {
    const server = await sharedServer({ memory: "256M" });
    const client = server.client();
    const jobId = await client.shell(
      "x=$(head -c 6M /dev/zero | tr '\\0' x); y=$x$x$x$x; echo held; sleep 600",
    );
    await client.untilOutput(jobId, /held/);
    const file = (name: string) => groupFile(server, jobId, name);
    await assert.rejects(
      client.update(jobId, { limits: { cpuCores: 0.5, memoryBytes: 16 * MIB } }),
      /it uses \d+ bytes of memory that cannot be freed/,
    );
    assert.equal(await file("cpu.max"), "max 100000");
    assert.equal(await file("memory.max"), String(256 * MIB));
    assert.equal(await file("memory.high"), "max");
    const limits = {
      cpuCores: 0.5,
      memoryBytes: 128 * MIB,
      memoryHighBytes: 96 * MIB,
      writeOperationsPerSecond: 50,
    };
    const { limits: held } = await client.update(jobId, { limits });
    assert.equal(held?.memoryHighBytes, 96 * MIB);
    assert.equal(await file("cpu.max"), "50000 100000");
    assert.equal(await file("memory.max"), String(128 * MIB));
    assert.equal(await file("memory.high"), String(96 * MIB));
    assert.match(await file("io.max"), /^\d+:\d+ rbps=max wbps=max riops=max wiops=50$/m);
    await client.update(jobId, { reset: ["memory_high_bytes", "write_operations_per_second"] });
    assert.equal(await file("memory.high"), "max");
    assert.equal(await file("io.max"), "");
    await client.stop(jobId, 0);
  },
);
