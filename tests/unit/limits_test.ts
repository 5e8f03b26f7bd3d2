import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import {
  parseCpuLimit,
  parseCpuLimits,
  parseDiskIoLimit,
  parseMemoryLimit,
  parseMemoryLimits,
  parseNamedDisk,
  parseOperationLimit,
} from "../../common/limits.ts";
import { type Limits, lowerLimits, narrowLimits, readLimits } from "../../lib/limits.ts";

const UNLIMITED = ["max", "", "\n", "  max \r\n", "\t"];

/** Never a limit, whatever the file. */
const JUNK = [
  "abc",
  "-1",
  "0",
  "NaN",
  "Infinity",
  "1e3",
  "0x10",
  "max max",
  "MAX!",
  "\0",
  "50%\n50%",
  "\u{ff15}0%",
  "'50%'",
  "none",
  "1,5%",
  ".5%",
  "5.%",
  "%",
  "9".repeat(400),
];

function assertMalformed(parse: (text: string) => unknown, text: string): void {
  assert.throws(() => parse(text), (error) => {
    assert(error instanceof RangeError, `${JSON.stringify(text)}: ${error}`);
    assert.match(error.message, /is not a valid limit: expected/);
    assert(error.message.length < 400, "the message repeats too much of the file");
    return true;
  }, JSON.stringify(text));
}

for (
  const [name, parse, unlimited] of [
    ["parseCpuLimit", parseCpuLimit, undefined],
    ["parseMemoryLimit", parseMemoryLimit, undefined],
    ["parseDiskIoLimit", parseDiskIoLimit, {}],
  ] as const
) {
  Deno.test(`${name}: max and an empty file are no limit`, () => {
    for (const text of UNLIMITED) assert.deepEqual(parse(text), unlimited, JSON.stringify(text));
  });

  Deno.test(`${name}: junk is refused with what was expected`, () => {
    for (const text of JUNK) assertMalformed(parse, text);
  });
}

Deno.test("parseCpuLimit: a percentage of one core", () => {
  const cases: [string, number][] = [
    ["50%", 0.5],
    ["200%", 2],
    ["1.5%", 0.015],
    ["1%", 0.01],
    [" 50 % \r\n", 0.5],
    ["1000000%", 10_000],
  ];
  for (const [text, cores] of cases) assert.equal(parseCpuLimit(text), cores, text);
});

Deno.test("parseCpuLimit: what the kernel cannot hold is refused", () => {
  for (const text of ["0%", "0.99%", "1000001%", "-50%", "50", "0.5", "50%%", "99999999999999%"]) {
    assertMalformed(parseCpuLimit, text);
  }
});

Deno.test("parseMemoryLimit: bytes with units of 1024", () => {
  const cases: [string, number][] = [
    ["256M", 256 * 1024 ** 2],
    ["256MiB", 256 * 1024 ** 2],
    ["1.5g", 1.5 * 1024 ** 3],
    ["2T", 2 * 1024 ** 4],
    ["1048576", 1024 ** 2],
    ["1048576B", 1024 ** 2],
    [" 2048 K\r\n", 2 * 1024 ** 2],
  ];
  for (const [text, bytes] of cases) assert.equal(parseMemoryLimit(text), bytes, text);
});

Deno.test("parseMemoryLimit: ambiguous, tiny and huge ones are refused", () => {
  for (
    const text of ["256MB", "256KB", "1023K", "1", "10P", "99999999T", "-256M", "256 M B", "M"]
  ) {
    assertMalformed(parseMemoryLimit, text);
  }
});

Deno.test("parseDiskIoLimit: a rate for both, or one for each", () => {
  const cases: [string, ReturnType<typeof parseDiskIoLimit>][] = [
    ["10MB/s", { readBytesPerSecond: 10e6, writeBytesPerSecond: 10e6 }],
    ["10MiB/s", { readBytesPerSecond: 10 * 1024 ** 2, writeBytesPerSecond: 10 * 1024 ** 2 }],
    ["4096B/s", { readBytesPerSecond: 4096, writeBytesPerSecond: 4096 }],
    ["1.5 GB/s\r\n", { readBytesPerSecond: 1.5e9, writeBytesPerSecond: 1.5e9 }],
    ["read=50MB/s write=10MB/s", { readBytesPerSecond: 50e6, writeBytesPerSecond: 10e6 }],
    ["write=1MiB/s", { writeBytesPerSecond: 1024 ** 2 }],
    ["read=max write=1MB/s", { writeBytesPerSecond: 1e6 }],
    ["read=1MB/s read-iops=100 write-iops=max", {
      readBytesPerSecond: 1e6,
      readOperationsPerSecond: 100,
    }],
    ["write-iops=4294967295", { writeOperationsPerSecond: 2 ** 32 - 1 }],
  ];
  for (const [text, limits] of cases) assert.deepEqual(parseDiskIoLimit(text), limits, text);
});

Deno.test("parseMemoryLimits: a limit, and the bound above which memory is taken back", () => {
  const MIB = 1024 ** 2;
  const cases: [string, ReturnType<typeof parseMemoryLimits>][] = [
    ["", {}],
    ["max", {}],
    ["256M\n", { memoryBytes: 256 * MIB }],
    [" 1G high=768M ", { memoryBytes: 1024 * MIB, memoryHighBytes: 768 * MIB }],
    ["max high=2M", { memoryHighBytes: 2 * MIB }],
    ["high=2M", { memoryHighBytes: 2 * MIB }],
    ["1M high=max", { memoryBytes: MIB }],
  ];
  for (const [text, limits] of cases) assert.deepEqual(parseMemoryLimits(text), limits, text);
  for (
    const text of ["1Ghigh=1M", "1G low=1M", "1G high=1", "1G high=1M 2", "1G 2G", "high=1M 1G"]
  ) {
    assert.throws(() => parseMemoryLimits(text), /is not a valid limit/, text);
  }
});

Deno.test("parseCpuLimits: a limit of time, and the CPUs that may be used", () => {
  assert.deepEqual(parseCpuLimits(" 200% cpus=0-3,5\n"), { cpuCores: 2, allowedCpus: "0-3,5" });
  assert.deepEqual(parseCpuLimits("max cpus=1"), { allowedCpus: "1" });
  assert.deepEqual(parseCpuLimits("cpus=1"), { allowedCpus: "1" });
  assert.deepEqual(parseCpuLimits("50% cpus=max"), { cpuCores: 0.5 });
  for (const text of ["50% cpus=", "", "max"]) {
    assert.deepEqual(parseCpuLimits(text).allowedCpus, undefined);
  }
  for (const text of ["50%cpus=1", "cpus=1 50%", "cpu=1", "50% cpus=a", "cpus=1 cpus=2"]) {
    assert.throws(() => parseCpuLimits(text), /is not a valid limit/, text);
  }
});

Deno.test("parseNamedDisk: a disk and its rates", () => {
  assert.deepEqual(parseNamedDisk("/dev/sdb read=10MB/s  read-iops=5 write=max"), {
    disk: "/dev/sdb",
    readBytesPerSecond: 10_000_000,
    readOperationsPerSecond: 5,
  });
  assert.deepEqual(parseNamedDisk(" 8:16 1MiB/s"), {
    disk: "8:16",
    readBytesPerSecond: 2 ** 20,
    writeBytesPerSecond: 2 ** 20,
  });
  const texts = [
    "",
    "/dev/sdb",
    "/dev/sdb max",
    "sdb 1MB/s",
    "/etc/x 1MB/s",
    "/dev/../x 1MB/s",
    "8: 1MB/s",
  ];
  for (const text of [...texts, "/dev/sdb read=1", "-1:0 1MB/s"]) {
    assert.throws(() => parseNamedDisk(text), /is not a valid limit/, text);
  }
});

Deno.test("narrowLimits: a named disk may have more than the others, and not more than the server allows", () => {
  const disk = { disk: "/dev/sdb", number: "8:16", readBytesPerSecond: 8192 };
  const asked = { readBytesPerSecond: 4096, disks: [disk] };
  assert.deepEqual(narrowLimits({ readBytesPerSecond: 8192 }, asked), asked);
  assert.throws(
    () => narrowLimits({ readBytesPerSecond: 8191 }, asked),
    /its reading limit of 8192B\/s is above the server's of 8191B\/s/,
  );
  const tooLow = { disks: [{ ...disk, readBytesPerSecond: 1 }] };
  assert.throws(
    () => narrowLimits({}, tooLow),
    /: 1B\/s is not a valid reading limit: expected at least 4096B\/s/,
  );
  assert.deepEqual(lowerLimits({ readBytesPerSecond: 5000 }, { disks: [disk] }).disks, [
    { ...disk, readBytesPerSecond: 5000 },
  ]);
  assert.deepEqual(lowerLimits({}, { disks: [disk] }).disks, [disk]);
});

Deno.test("parseDiskIoLimit: operations are whole numbers that the kernel can hold", () => {
  for (const count of ["0", "-1", "1.5", "4294967296", "1MB/s", ""]) {
    assert.throws(() => parseDiskIoLimit(`read-iops=${count}`), /is not a valid limit/, count);
  }
  assert.equal(parseOperationLimit("max"), undefined);
  assert.equal(parseOperationLimit("7"), 7);
});

Deno.test("parseDiskIoLimit: rates without a time, tiny, huge and doubled ones are refused", () => {
  const texts = [
    "10MB",
    "10M/s",
    "10MB/m",
    "0MB/s",
    "4095B/s",
    "-1MB/s",
    "read=1MB/s read=2MB/s",
    "read= write=",
    "read=1MB/s both=2MB/s",
    "READ=1MB/s",
    "read=1MB/s;write=2MB/s",
    "9999999999TB/s",
  ];
  for (const text of texts) assertMalformed(parseDiskIoLimit, text);
});

Deno.test("readLimits: reads what stands in the folder at that moment", async () => {
  await using folder = await limitsFolder({ cpu: "50%\n", memory: "256M\n", disk_io: "10MB/s\n" });
  assert.deepEqual(readLimits(folder.path), {
    cpuCores: 0.5,
    memoryBytes: 256 * 1024 ** 2,
    readBytesPerSecond: 10e6,
    writeBytesPerSecond: 10e6,
  });
  await Deno.writeTextFile(join(folder.path, "cpu_limit.txt"), "max");
  assert.equal(readLimits(folder.path).cpuCores, undefined);
});

Deno.test("readLimits: a missing, malformed, endless or strange file fails with its name", async () => {
  const good = { cpu: "max", memory: "max", disk_io: "max" };
  for (const name of ["cpu", "memory", "disk_io"] as const) {
    for (const text of [undefined, "abc", "max".padEnd(100_000, "x")]) {
      await using folder = await limitsFolder({ ...good, [name]: text });
      assertRefused(folder.path, `${name}_limit.txt`);
    }
    await using folder = await limitsFolder({ ...good, [name]: undefined });
    await Deno.mkdir(join(folder.path, `${name}_limit.txt`));
    assertRefused(folder.path, `${name}_limit.txt`);
    await using strange = await limitsFolder({ ...good, [name]: undefined });
    // It would never say anything, and the server would wait.
    await new Deno.Command("mkfifo", { args: [join(strange.path, `${name}_limit.txt`)] }).output();
    assertRefused(strange.path, `${name}_limit.txt`);
  }
});

function assertRefused(folder: string, name: string): void {
  assert.throws(() => readLimits(folder), (error) => {
    assert(error instanceof JobError);
    assert.equal(error.kind, "precondition");
    assert(error.message.includes(name), error.message);
    assert(!error.message.includes(folder), "the message tells a path of the host");
    return true;
  });
}

async function limitsFolder(
  files: Partial<Record<"cpu" | "memory" | "disk_io", string | undefined>>,
): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "job-worker-limits-" });
  for (const [name, text] of Object.entries(files)) {
    if (text !== undefined) await Deno.writeTextFile(join(path, `${name}_limit.txt`), text);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

Deno.test("narrowLimits: what is not asked for stays, what is asked for within it holds", () => {
  const allowed = { cpuCores: 1, memoryBytes: 1024 ** 3 };
  assert.deepEqual(narrowLimits(allowed, {}), allowed);
  assert.deepEqual(narrowLimits(allowed, { cpuCores: 0.5, readBytesPerSecond: 5000 }), {
    cpuCores: 0.5,
    memoryBytes: 1024 ** 3,
    readBytesPerSecond: 5000,
  });
  assert.deepEqual(narrowLimits(allowed, { memoryBytes: 1024 ** 3 }), allowed);
});

Deno.test("narrowLimits: more than the server allows, and what is not a valid limit, is refused", () => {
  const allowed = { cpuCores: 1, memoryBytes: 2 ** 30, processes: 10 };
  const above: readonly (readonly [asked: Limits, told: string])[] = [
    [{ cpuCores: 1.01 }, "CPU limit of 101% is above the server's of 100%"],
    [{ memoryBytes: 2 ** 31 }, "memory limit of 2G is above the server's of 1G"],
    [{ memoryBytes: 2 ** 30 + 1 }, "memory limit of 1073741825 is above the server's of 1G"],
    [{ processes: 11 }, "process limit of 11 is above the server's of 10"],
  ];
  for (const [asked, told] of above) {
    assert.throws(() => narrowLimits(allowed, asked), {
      message: `Cannot start the job: its ${told}`,
    });
  }
  const junk: Limits[] = [
    { cpuCores: 0 },
    { cpuCores: -1 },
    { cpuCores: NaN },
    { cpuCores: Infinity },
    { memoryBytes: 0 },
    { readBytesPerSecond: 1 },
    { writeBytesPerSecond: 0 },
    { processes: 0 },
    { memoryHighBytes: 1 },
    { readOperationsPerSecond: 0 },
    { writeOperationsPerSecond: 2 ** 32 },
  ];
  for (const asked of junk) {
    assert.throws(() => narrowLimits({}, asked), (error) => {
      assert(error instanceof JobError, JSON.stringify(asked));
      assert.equal(error.kind, "invalid");
      return true;
    });
  }
});
