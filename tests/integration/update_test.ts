/** Limits that change while a job runs, on this kernel: what its files hold, and what it refuses. */
// Attacks: limits, by changes of them.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { assertStatus } from "../support/client.ts";
import { groupsOf } from "../support/job_traces.ts";
import { TestServer } from "../support/server.ts";

const MIB = 1024 ** 2;

/** Holds some 30 MiB of memory that nothing can free, and says so. */
const HOLD_MEMORY = "x=$(head -c 6M /dev/zero | tr '\\0' x); y=$x$x$x$x; echo held; sleep 1000";

/** A kernel file of a job, by its v1 or v2 name. */
async function kernelFile(jobId: string, ...names: string[]): Promise<string> {
  for (const group of await groupsOf(jobId)) {
    for (const name of names) {
      const text = await Deno.readTextFile(join(group, name)).catch(() => undefined);
      if (text !== undefined) return text.trim();
    }
  }
  throw new Error(`no group of the job has ${names}`);
}

/** The number of a disk that limits hold on. */
async function wholeDisk(): Promise<string | undefined> {
  for await (const { name } of Deno.readDir("/sys/block")) {
    const size = await Deno.readTextFile(`/sys/block/${name}/size`);
    if (/^z?ram/.test(name) || Number(size) === 0) continue;
    return (await Deno.readTextFile(`/sys/block/${name}/dev`)).trim();
  }
  return undefined;
}

const cpuOf = (id: string) => kernelFile(id, "cpu.cfs_quota_us", "cpu.max");
const memoryOf = (id: string) => kernelFile(id, "memory.limit_in_bytes", "memory.max");
const writesOf = (id: string) => kernelFile(id, "blkio.throttle.write_bps_device", "io.max");
const operationsOf = (id: string) => kernelFile(id, "blkio.throttle.write_iops_device", "io.max");
const processesOf = (id: string) => kernelFile(id, "pids.max");

Deno.test("update: limits of running jobs", async (t) => {
  await using server = await TestServer.start();
  const alice = server.client();
  await t.step(
    "the kernel's files hold what was asked for, and the job's status says so",
    async () => {
      await server.setLimits({ cpu: "200%", memory: "1G" });
      const id = await alice.start("sleep", "1000");
      const limits = {
        cpuCores: 0.5,
        memoryBytes: 256 * MIB + 5000,
        writeBytesPerSecond: 5_000_000,
        processes: 9,
      };
      const { limits: held } = await alice.update(id, { limits });
      assert.match(await cpuOf(id), /^50000( 100000)?$/);
      assert.equal(await processesOf(id), "9");
      assert.match(await writesOf(id), /^\d+:\d+ (.*wbps=)?5000000\b/m);
      const memory = await memoryOf(id);
      assert.equal(held?.memoryBytes, Number(memory), "the status is not what the kernel holds");
      assert(Number(memory) <= limits.memoryBytes && Number(memory) > 256 * MIB - 1);
      assert.deepEqual([held?.cpuCores, held?.processes], [0.5, 9]);
      // Operations are held beside bytes, each by itself.
      await alice.update(id, { limits: { writeOperationsPerSecond: 50 } });
      assert.match(await operationsOf(id), /^\d+:\d+ (.*wiops=)?50\b/m);
      assert.match(await writesOf(id), /\b5000000\b/);
      await alice.update(id, { reset: ["write_operations_per_second"] });
      assert(!/\b50\b/.test(await operationsOf(id)));
      // Up, down and away again.
      await alice.update(id, { limits: { memoryBytes: 512 * MIB } });
      await alice.update(id, { limits: { memoryBytes: 64 * MIB, cpuCores: 1 } });
      assert.equal(await memoryOf(id), String(64 * MIB));
      await alice.update(id, {
        reset: ["memory_bytes", "cpu_cores", "write_bytes_per_second", "processes"],
      });
      assert.equal(await memoryOf(id), String(1024 * MIB));
      assert.match(await cpuOf(id), /^200000/);
      assert(!(await writesOf(id)).includes("5000000"), await writesOf(id));
      assert.match(await processesOf(id), /^\d{4,}$|^max$/);
      await alice.stop(id, 0);
      await assertStatus(
        alice.update(id, { fromFiles: true }),
        status.FAILED_PRECONDITION,
        /has already exited/,
      );
    },
  );

  await t.step(
    "the CPUs of all of a job's processes, also of one that had no choice before",
    async () => {
      await server.setLimits({});
      const id = await alice.shell("sleep 1000 & sleep 1000 & echo begun; wait");
      await alice.untilOutput(id, /begun/);
      const cpusOf = async () => {
        const [group = ""] = await groupsOf(id);
        const pids = (await Deno.readTextFile(join(group, "cgroup.procs"))).trim().split("\n");
        const texts = await Promise.all(
          pids.map((pid) => Deno.readTextFile(`/proc/${pid}/status`)),
        );
        return [
          pids.length,
          new Set(texts.map((text) => /Cpus_allowed_list:\t(.*)/.exec(text)?.[1])),
        ];
      };
      const [, all] = await cpusOf();
      assert.equal(
        (await alice.update(id, { limits: { allowedCpus: "0" } })).limits?.allowedCpus,
        "0",
      );
      assert.deepEqual(await cpusOf(), [3, new Set(["0"])]);
      await assertStatus(
        alice.update(id, { limits: { allowedCpus: "0,8000", processes: 9 } }),
        status.FAILED_PRECONDITION,
        /of its allowed CPUs 0,8000 the server's host has not all: it gives jobs .*; nothing was changed/,
      );
      assert.notEqual(await processesOf(id), "9");
      await alice.update(id, { reset: ["allowed_cpus"] });
      assert.deepEqual(await cpusOf(), [3, all]);
      await alice.stop(id, 0);
      assert.deepEqual(await groupsOf(id), []);
      await server.setLimits({ cpu: "max cpus=0" });
      const held = await alice.shell("grep ^Cpus_allowed_list: /proc/self/status");
      await alice.wait(held);
      assert.equal(await alice.text(held), "Cpus_allowed_list:\t0\n");
      const tooMany = { name: "true", limits: { allowedCpus: "0-1" } };
      await assertStatus(
        alice.startWith(tooMany),
        status.FAILED_PRECONDITION,
        /among the server's/,
      );
      await server.setLimits({ cpu: "cpus=0-8000" });
      await assertStatus(alice.start("true"), status.FAILED_PRECONDITION, /it gives jobs /);
    },
  );

  const disk = await wholeDisk();
  await t.step({
    name: "a named disk has limits of its own, from the start on and by updates",
    ignore: disk === undefined,
    async fn() {
      await server.setLimits({ diskIo: "write=9MB/s" });
      const named = (rate: number) => [{ disk: disk ?? "", writeBytesPerSecond: rate }];
      const limits = { writeBytesPerSecond: 1_000_000, disks: named(7_000_000) };
      const id = await alice.startWith({ name: "sleep", args: ["1000"], limits });
      const holds = async (rate: number) =>
        assert.match(await writesOf(id), new RegExp(`^${disk} (.*wbps=)?${rate}\\b`, "m"));
      await holds(7_000_000);
      // Another limit for each disk leaves it what it has.
      await alice.update(id, { limits: { writeBytesPerSecond: 2_000_000 } });
      await holds(7_000_000);
      const { limits: held } = await alice.update(id, { limits: { disks: named(6_000_000) } });
      assert.deepEqual(held?.disks.map((told) => told.writeBytesPerSecond), [6_000_000]);
      await holds(6_000_000);
      await assertStatus(
        alice.update(id, { limits: { disks: named(10_000_000) } }),
        status.FAILED_PRECONDITION,
        /its writing limit of 10MB\/s is above the server's/,
      );
      await alice.update(id, { reset: ["disks"] });
      await holds(2_000_000);
      await alice.stop(id, 0);
      const absent = {
        name: "true",
        limits: { disks: [{ disk: "/dev/null", readBytesPerSecond: 4096 }] },
      };
      await assertStatus(
        alice.startWith(absent),
        status.INVALID_ARGUMENT,
        /is no disk of the server's/,
      );
    },
  });

  await t.step(
    "memory that a job uses is not taken from it, and nothing else changes then",
    async () => {
      await server.setLimits({ memory: "256M" });
      const id = await alice.shell(HOLD_MEMORY);
      await alice.untilOutput(id, /held/);
      const cpu = await cpuOf(id);
      const { details } = await assertStatus(
        alice.update(id, { limits: { cpuCores: 0.25, memoryBytes: 16 * MIB, processes: 40 } }),
        status.FAILED_PRECONDITION,
        /^Cannot update the job: it uses \d+ bytes of memory that cannot be freed/,
      );
      assert(Number(/uses (\d+)/.exec(details)?.[1]) > 16 * MIB, details);
      assert.equal(await cpuOf(id), cpu);
      assert.equal(await memoryOf(id), String(256 * MIB));
      assert.equal((await alice.query(id)).limits?.memoryBytes, 256 * MIB);
      assert.equal((await alice.query(id)).limits?.cpuCores, undefined);
      assert.equal((await alice.query(id)).exited, false);
      await assertStatus(
        alice.update(id, { limits: { memoryBytes: 512 * MIB } }),
        status.FAILED_PRECONDITION,
        /above the server's/,
      );
      await alice.stop(id, 0);
    },
  );

  await t.step(
    "update --all --from-files: the files apply to every running job, and its exit status tells of one that refuses",
    async () => {
      await server.setLimits({ memory: "256M" });
      const [plain, small, large] = [
        await alice.start("sleep", "1000"),
        await alice.startWith({ name: "sleep", args: ["1000"], limits: { memoryBytes: 8 * MIB } }),
        await alice.shell(HOLD_MEMORY),
      ];
      await alice.untilOutput(large, /held/);
      await server.setLimits({ memory: "16M", cpu: "50%" });
      const { code, stdout, stderr } = await server.cli(["update", "--all", "--from-files"]);
      assert.equal(code, 1);
      assert.match(stderr, /it uses \d+ bytes of memory that cannot be freed/);
      assert(
        stdout.includes(`${plain}: CPU 50% (was none), memory 16 MiB (was 256 MiB)`),
        stdout,
      );
      assert(stdout.includes(`${small}: CPU 50% (was none), memory 8 MiB`), stdout);
      assert(!stdout.includes(large), stdout);
      assert.equal(await memoryOf(plain), String(16 * MIB));
      assert.equal(await memoryOf(small), String(8 * MIB));
      assert.equal(await memoryOf(large), String(256 * MIB));
      // A server that is killed leaves them to the next one.
      await server.end("SIGKILL");
      await server.launch();
      assert.equal((await server.client().query(plain)).limits?.memoryBytes, 16 * MIB);
      const max = await server.cli(["update", "--memory", "12M", "--cpu", "max", plain]);
      assert.equal(max.code, 0, max.stderr);
      assert.equal(await memoryOf(plain), String(12 * MIB));
    },
  );

  await t.step(
    "many at once, with stops among them, leave the kernel and the record alike",
    async () => {
      await server.setLimits({});
      const ids = await Promise.all([1, 2, 3].map(() => alice.start("sleep", "1000")));
      const updates = ids.flatMap((id, index) =>
        [20, 50, 30, 40].map((mebibytes) =>
          alice.update(id, { limits: { memoryBytes: (mebibytes + index) * MIB } })
            .catch((error) => assert.match(error.details, /is ending|already exited/))
        )
      );
      const stop = alice.stop(ids[2] ?? "", 0);
      await Promise.all([...updates, stop]);
      for (const id of ids.slice(0, 2)) {
        assert.equal((await alice.query(id)).limits?.memoryBytes, Number(await memoryOf(id)));
      }
    },
  );
});
