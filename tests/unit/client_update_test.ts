/** The limits on command lines, and how changes of them are shown. */
import { Command } from "commander";
import { strict as assert } from "node:assert";
import {
  defineLimitOptions,
  type LimitOptions,
  toLimits,
} from "../../client/command_line/limit_options.ts";
import { describeLimits } from "../../client/screen/limits.ts";
import type { JobLimits__Output } from "../../proto/contract.ts";
import { runClient } from "../support/client_terminal.ts";

function read(...args: string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  defineLimitOptions(command);
  return toLimits(command.parse(args, { from: "user" }).opts<LimitOptions>());
}

Deno.test("limit options: max is no limit of the job's own, for each of them", () => {
  assert.deepEqual(read("--cpu", "200%", "--memory", "1G"), {
    limits: { cpuCores: 2, memoryBytes: 1024 ** 3 },
    unlimited: [],
  });
  assert.deepEqual(read("--disk-io", "read=max write=5MB/s", "--processes", "max"), {
    limits: { writeBytesPerSecond: 5_000_000 },
    unlimited: ["readBytesPerSecond", "processes"],
  });
  assert.deepEqual(
    read("--read-iops", "100", "--disk-io", "write-iops=50", "--memory-high", "1M"),
    {
      limits: {
        memoryHighBytes: 2 ** 20,
        readOperationsPerSecond: 100,
        writeOperationsPerSecond: 50,
      },
      unlimited: [],
    },
  );
  assert.deepEqual(read("--disk-io", "max").unlimited, [
    "readBytesPerSecond",
    "writeBytesPerSecond",
    "readOperationsPerSecond",
    "writeOperationsPerSecond",
  ]);
  assert.deepEqual(read("--disk-io", "read=5MB/s").unlimited, []);
  const disks = [{ disk: "/dev/sda", readBytesPerSecond: 5_000_000 }, {
    disk: "8:16",
    writeOperationsPerSecond: 7,
  }];
  assert.deepEqual(
    read("--disk", "/dev/sda read=5MB/s", "--disk", "8:16 write-iops=7").limits,
    { disks },
  );
  assert.deepEqual(read("--disk", "max"), { limits: {}, unlimited: ["disks"] });
  assert.deepEqual(read("--cpus-allowed", "3,0-1,2").limits, { allowedCpus: "0-3" });
  assert.deepEqual(read("--cpus-allowed", "max"), { limits: {}, unlimited: ["allowedCpus"] });
});

Deno.test("update: jobs and limits have to be named", async () => {
  const slips: [args: string[], message: RegExp][] = [
    [["--memory", "1G"], /No job is named/],
    [["web"], /No limit is given/],
    [["--all", "--memory", "1G"], /--all needs --from-files/],
    [["--all", "--from-files", "web"], /Ids cannot be used together with --all/],
    [["--memory", "1X", "web"], /1X/],
  ];
  for (const [args, message] of slips) {
    const { status, notes } = await runClient(["update", ...args]);
    assert.equal(status, 2, args.join(" "));
    assert.match(notes.join("\n"), message);
  }
});

Deno.test("describeLimits: the limits that hold, and what those that changed were", () => {
  const none: JobLimits__Output = { disks: [] };
  const now: JobLimits__Output = { ...none, cpuCores: 0.5, memoryBytes: 2 ** 30, processes: 7 };
  assert.equal(describeLimits(none, none), "no limits");
  assert.equal(describeLimits(now, now), "CPU 50%, memory 1 GiB, processes 7");
  assert.equal(
    describeLimits(now, {
      ...none,
      cpuCores: 0.125,
      memoryBytes: 2 ** 30,
      readBytesPerSecond: 2 ** 20,
    }),
    "CPU 50% (was 12.5%), memory 1 GiB, disk read none (was 1 MiB/s), processes 7 (was none)",
  );
  assert.equal(
    describeLimits({ ...none, allowedCpus: "0-3" }, { ...none, allowedCpus: "5" }),
    "allowed CPUs 0-3 (was 5)",
  );
  const disks = [{ disk: "/dev/sda", readBytesPerSecond: 2 ** 20, writeOperationsPerSecond: 7 }];
  assert.equal(
    describeLimits({ disks }, none),
    "named disks /dev/sda read 1 MiB/s, writes 7/s (was none)",
  );
  assert.equal(describeLimits({ disks }, { disks: [...disks] }).includes("was"), false);
});
