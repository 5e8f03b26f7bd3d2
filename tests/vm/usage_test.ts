/** What Query says of a job's use of the host, on pure cgroup v2. */
import { strict as assert } from "node:assert";
import { until } from "../support/wait.ts";
import { guestTest, sharedServer } from "./guest.ts";

const MIB = 1024 ** 2;

guestTest("query: counts memory, its peak, CPU time, disk bytes and processes", async () => {
  const server = await sharedServer({ cpu: "50%" });
  const client = server.client();
  const jobId = await client.shell(
    "head -c 30M /dev/zero | tail -c 25M >/dev/null; " +
      "dd if=/dev/zero of=/var/tmp/used bs=1M count=4 oflag=direct 2>/dev/null; " +
      "dd if=/var/tmp/used of=/dev/null bs=1M iflag=direct 2>/dev/null; rm /var/tmp/used; " +
      "sleep 600 & sleep 601 & echo ready; wait",
  );
  await client.untilOutput(jobId, /ready/);
  const usage = await until("all processes to be counted", async () => {
    const { usage } = await client.query(jobId);
    return usage?.processes === 3 && usage;
  });
  assert((usage.memoryPeakBytes ?? 0) > 25 * MIB, `peak ${usage.memoryPeakBytes}`);
  assert((usage.memoryBytes ?? 0) > 0, `memory ${usage.memoryBytes}`);
  assert((usage.memoryBytes ?? 0) < (usage.memoryPeakBytes ?? 0), "the peak is above what is used");
  assert((usage.cpuUsec ?? 0) > 10_000, `CPU ${usage.cpuUsec}`);
  assert((usage.cpuThrottledUsec ?? 0) > 0, `throttled ${usage.cpuThrottledUsec}`);
  assert((usage.writtenBytes ?? 0) >= 4 * MIB, `written ${usage.writtenBytes}`);
  assert((usage.readBytes ?? 0) >= 4 * MIB, `read ${usage.readBytes}`);
  await client.stop(jobId, 0);
  const ended = await client.query(jobId);
  assert.equal(ended.usage?.memoryPeakBytes, usage.memoryPeakBytes);
  assert((ended.usage?.cpuUsec ?? 0) >= (usage.cpuUsec ?? 0), "CPU time is kept");
  assert((ended.usage?.writtenBytes ?? 0) >= 4 * MIB, "written bytes are kept");
});

guestTest("query: says which limits a job has, and none where it has none", async () => {
  const server = await sharedServer({ cpu: "150%", memory: "1G", diskIo: "read=1MiB/s" });
  const client = server.client();
  const limited = await client.wait(await client.script("true", { limits: { processes: 9 } }));
  assert.equal(limited.limits?.cpuCores, 1.5);
  assert.equal(limited.limits?.memoryBytes, 1024 * MIB);
  assert.equal(limited.limits?.readBytesPerSecond, MIB);
  assert.equal(limited.limits?.writeBytesPerSecond ?? null, null);
  assert.equal(limited.limits?.processes, 9);
});

guestTest("ready: the host is said to be pure cgroup v2 with every controller", async () => {
  const server = await sharedServer();
  const line = server.log.split("\n").find((entry) => entry.includes('"message":"ready"')) ?? "";
  const { cgroup, controllers } = JSON.parse(line) as { cgroup: string; controllers: string };
  assert.equal(cgroup, "v2");
  assert.deepEqual(controllers.split(" ").sort(), ["cpu", "cpuacct", "io", "memory", "pids"]);
});
