/** What an Update asks for, and what becomes of a job's limits by it. */
import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import type { Limits } from "../../lib/limits.ts";
import {
  type AskedChange,
  changeLimits,
  changesOwnLimits,
  describeChange,
  readLimitChange,
} from "../../lib/model/limit_change.ts";

const MIB = 1024 ** 2;

function read(asked: Partial<AskedChange>) {
  return readLimitChange({ limits: {}, reset: [], fromFiles: false, ...asked });
}

function isRefused(kind: JobError["kind"], message: RegExp) {
  return (error: unknown) =>
    error instanceof JobError && error.kind === kind && message.test(error.message);
}

Deno.test("readLimitChange: limits are named as in the contract, and something has to change", () => {
  const change = read({ limits: { cpuCores: 2 }, reset: ["memory_bytes", "memory_bytes"] });
  assert.deepEqual([...change.reset], ["memoryBytes"]);
  assert.throws(() => read({}), isRefused("invalid", /nothing is to change/));
  assert.throws(
    () => read({ reset: ["memoryBytes"] }),
    isRefused("invalid", /"memoryBytes" is not the name of a limit: expected one of cpu_cores,/),
  );
  assert.throws(
    () => read({ limits: { cpuCores: 1 }, reset: ["cpu_cores"] }),
    isRefused("invalid", /cpu_cores is both given and reset/),
  );
});

Deno.test("describeChange: says what changes, for the audit trail", () => {
  const change = read({ limits: { cpuCores: 2 }, reset: ["processes"], fromFiles: true });
  assert.equal(describeChange(change), "cpu_cores=2 processes=server from_files");
  assert(changesOwnLimits(change));
  assert(changesOwnLimits(read({ reset: ["processes"] })));
  assert(!changesOwnLimits(read({ fromFiles: true })));
});

Deno.test("changeLimits: only what is named is set, also where the files are lower now", () => {
  const has = { limits: { cpuCores: 2, memoryBytes: 64 * MIB }, ownLimits: { cpuCores: 2 } };
  const allowed = { cpuCores: 1, memoryBytes: 128 * MIB, processes: 7 };
  assert.deepEqual(changeLimits(read({ limits: { memoryBytes: 96 * MIB } }), has, allowed), {
    limits: { cpuCores: 2, memoryBytes: 96 * MIB },
    ownLimits: { cpuCores: 2, memoryBytes: 96 * MIB },
    names: new Set(["memoryBytes"]),
  });
  assert.deepEqual(changeLimits(read({ reset: ["cpu_cores", "processes"] }), has, allowed), {
    limits: { memoryBytes: 64 * MIB, cpuCores: 1, processes: 7 },
    ownLimits: {},
    names: new Set(["cpuCores", "processes"]),
  });
  assert.deepEqual(changeLimits(read({ reset: ["cpu_cores"] }), has, {}).limits, {
    memoryBytes: 64 * MIB,
  });
});

Deno.test("changeLimits: CPUs are among those of the server; where none is left, the server decides", () => {
  const has = { limits: { allowedCpus: "2-5" }, ownLimits: { allowedCpus: "2-5" } };
  const allowed = { allowedCpus: "0-3" };
  const change = (asked: Partial<AskedChange>, files: Limits = allowed) =>
    changeLimits(read(asked), has, files).limits.allowedCpus;
  assert.equal(change({ limits: { allowedCpus: "0,3" } }), "0,3");
  assert.equal(change({ reset: ["allowed_cpus"] }), "0-3");
  assert.equal(change({ reset: ["allowed_cpus"] }, {}), undefined);
  assert.throws(
    () => change({ limits: { allowedCpus: "3-4" } }),
    isRefused("precondition", /allowed CPUs 3-4 are not all among the server's, 0-3/),
  );
  assert.equal(change({ fromFiles: true }), "2-3");
  assert.equal(change({ fromFiles: true }, { allowedCpus: "0-1" }), "0-1");
  assert.equal(change({ fromFiles: true }, {}), "2-5");
});

Deno.test("changeLimits: nothing is above the server's limits, or no limit at all", () => {
  const has = { limits: {}, ownLimits: {} };
  const ask = (limits: AskedChange["limits"]) =>
    changeLimits(read({ limits }), has, { memoryBytes: 64 * MIB });
  assert.throws(
    () => ask({ memoryBytes: 64 * MIB + 1 }),
    isRefused("precondition", /^Cannot update the job: its memory limit .* above the server's/),
  );
  assert.throws(() => ask({ memoryBytes: 0 }), isRefused("invalid", /at least 1M/));
  assert.throws(() => ask({ cpuCores: NaN }), isRefused("invalid", /CPU limit/));
});

Deno.test("changeLimits: the files apply to all limits, and the job's own stay where they are lower", () => {
  const has = {
    limits: { cpuCores: 0.5, memoryBytes: 64 * MIB, processes: 5 },
    ownLimits: { cpuCores: 0.5, memoryBytes: 64 * MIB },
  };
  const allowed = { cpuCores: 2, memoryBytes: 32 * MIB, writeBytesPerSecond: 4096 };
  const { limits, ownLimits, names } = changeLimits(read({ fromFiles: true }), has, allowed);
  assert.deepEqual(limits, { cpuCores: 0.5, memoryBytes: 32 * MIB, writeBytesPerSecond: 4096 });
  // When the files allow more again, the job has what it asked for again.
  assert.deepEqual(ownLimits, has.ownLimits);
  assert(names.has("processes"), "a limit that the server has no more is not taken away");
});
