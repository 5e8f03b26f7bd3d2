/** Disks that starts and updates name. */
import { strict as assert } from "node:assert";
import { numbersOf, readDisks } from "../../lib/executor/named_disks.ts";
import { withDiskNumbers } from "../../lib/job/disk_numbers.ts";
import { readAskedLimits } from "../../lib/model/asked_limits.ts";
import { assertJobError } from "../support/job_errors.ts";

const PURPOSE = "start the job";

Deno.test("readDisks: only whole disks have limits, and others are refused with what to name", () => {
  const read = (printed: string, ...disks: string[]) =>
    readDisks(printed, { disks, purpose: PURPOSE });
  assert.deepEqual(read("disk 8:16\ndisk 8:0\n", "/dev/sdb", "8:0"), ["8:16", "8:0"]);
  assert.throws(
    () => read("partition sda\n", "/dev/sda1"),
    /sda1 is a partition.*: name \/dev\/sda$/,
  );
  assert.throws(() => read("unheld\n", "/dev/zram0"), /in memory/);
  for (const printed of ["absent\n", "", "disk\n", "disk x\n"]) {
    assert.throws(
      () => read(printed, "/dev/x"),
      /^JobError: Cannot start the job: \/dev\/x is no disk/,
    );
  }
});

Deno.test("numbersOf: asks this host, which is told nothing that is no block device", async () => {
  for (const disk of ["/dev/null", "/dev/absent", "/dev/shm", "0:0", "9999:9999999"]) {
    await assertJobError(numbersOf([disk], PURPOSE), "invalid", /is no disk of the server's host/);
  }
});

Deno.test("withDiskNumbers: a disk is named once, by whichever name", async () => {
  const executor = { numbersOf: () => Promise.resolve(["8:0", "8:16", "8:0"]) };
  const disks = ["/dev/a", "/dev/b", "8:0"].map((disk) => ({ disk, readBytesPerSecond: 4096 }));
  await assertJobError(
    withDiskNumbers({ disks }, executor, PURPOSE),
    "invalid",
    /it names the disk 8:0 twice/,
  );
  const limits = { disks: disks.slice(0, 2) };
  assert.deepEqual(
    (await withDiskNumbers(limits, executor, PURPOSE)).disks?.map((disk) => disk.number),
    [
      "8:0",
      "8:16",
    ],
  );
  assert.deepEqual(await withDiskNumbers({}, executor, PURPOSE), {});
});

Deno.test("readAskedLimits: disks are named as a host can, some, and with limits", () => {
  const read = (...disks: { disk: string; readBytesPerSecond?: number }[]) =>
    readAskedLimits({ disks }, PURPOSE);
  const disk = { disk: "/dev/sda", readBytesPerSecond: 4096 };
  assert.deepEqual(read(disk).disks, [disk]);
  assert.deepEqual(read(), {});
  assert.throws(() => read({ disk: "/dev/sda" }), /no limit is given for the disk/);
  assert.throws(() => read(...Array.from({ length: 17 }, () => disk)), /more than 16 disks/);
  for (
    const name of ["", "sda", "/etc/passwd", "/dev/../etc/x", "/dev/a b", "/dev/a\n", "8:16 x"]
  ) {
    assert.throws(() => read({ ...disk, disk: name }), /names no disk/, name);
  }
});
