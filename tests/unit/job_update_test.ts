/** Changes of the limits of running jobs: what is on record, in which order, and what becomes of failures. */
import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import type { LimitChange } from "../../lib/model/limit_change.ts";
import { FULL_DISK } from "../support/failures.ts";
import { FAKE_PID } from "../support/fake_executor.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, recordOf, requestOf, soon } from "../support/job_host.ts";
import { turn } from "../support/settled.ts";

const MIB = 1024 ** 2;

function change(change: Partial<LimitChange>): LimitChange {
  return { limits: {}, reset: new Set(), fromFiles: false, ...change };
}

const MORE = change({ limits: { memoryBytes: 64 * MIB } });

const REFUSED = new JobError("precondition", "Cannot update the job: it uses more");

/** A host with a job that has 32 MiB. */
async function hostWithJob() {
  const host = await JobHost.open();
  const limits = { memoryBytes: 32 * MIB };
  return { host, id: await host.start(requestOf({}, { limits })) };
}

Deno.test("update: the kernel is told, then the record says what the kernel has made of it", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.limitFile("cpu", "50%");
  host.executor.onUpdate = () => {
    const { limits, comingLimits } = host.stored(id);
    assert.deepEqual(limits, { memoryBytes: 32 * MIB });
    assert.deepEqual(comingLimits?.limits, { memoryBytes: 64 * MIB });
  };
  host.executor.heldLimits = { memoryBytes: 64 * MIB - 4096 };
  let begun = 0;
  await host.manager.update(id, MORE, {}, () => begun += 1);
  assert.equal(begun, 1);
  assert(host.executor.calls.includes(`update ${id} memoryBytes=${64 * MIB}`));
  const { limits, ownLimits, askedLimits, comingLimits } = host.stored(id);
  assert.deepEqual(limits, { memoryBytes: 64 * MIB - 4096 });
  assert.deepEqual(ownLimits, { memoryBytes: 64 * MIB });
  assert.deepEqual(askedLimits, { memoryBytes: 32 * MIB });
  assert.equal(comingLimits, undefined);
  assert.deepEqual((await host.manager.query(id)).record.limits, limits);
});

Deno.test("update: a start that is repeated after it is answered with the same job", async () => {
  await using host = await JobHost.open();
  const start = () =>
    host.start(requestOf({}, { limits: { memoryBytes: 32 * MIB } }), { idempotencyKey: "key" });
  const id = await start();
  await host.manager.update(id, MORE);
  assert.equal(await start(), id);
});

Deno.test("update: the files of now are applied, and a bad one refuses before anything is done", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.limitFile("memory", "16M");
  host.limitFile("cpu", "50%");
  await host.manager.update(id, change({ fromFiles: true }));
  assert.deepEqual(host.stored(id).limits, { cpuCores: 0.5, memoryBytes: 16 * MIB });
  await assertJobError(host.manager.update(id, MORE), "precondition", /above the server's/);
  host.limitFile("memory", "much");
  await assertJobError(
    host.manager.update(id, change({ fromFiles: true }), {}, () => assert.fail("it has begun")),
    "precondition",
    /^Cannot update the job: limit file memory_limit.txt/,
  );
  assert.equal(host.executor.calls.filter((call) => call.startsWith("update")).length, 1);
});

Deno.test("update: what the kernel refuses leaves the record as it was", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.executor.failures.inject("update", { times: 1, error: REFUSED });
  await assertJobError(host.manager.update(id, MORE), "precondition", /it uses more/);
  const { limits, ownLimits, comingLimits } = host.stored(id);
  assert.deepEqual([limits, ownLimits, comingLimits], [
    { memoryBytes: 32 * MIB },
    undefined,
    undefined,
  ]);
});

Deno.test("update: where the store refuses, the kernel is not told", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.store.failures.inject("update", { error: FULL_DISK[0]! });
  await assertJobError(host.manager.update(id, MORE), "exhausted", /disk .* is full/);
  assert(!host.executor.calls.some((call) => call.startsWith("update")));
  assert.deepEqual((await host.manager.query(id)).record.limits, { memoryBytes: 32 * MIB });
});

Deno.test("update: one after the other, each from what the one before has left", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  const gate = Promise.withResolvers<void>();
  host.executor.onUpdate = () => gate.promise;
  const first = host.manager.update(id, MORE);
  const second = host.manager.update(id, change({ limits: { cpuCores: 1 } }));
  await turn();
  const updates = () => host.executor.calls.filter((call) => call.startsWith("update"));
  assert.equal(updates().length, 1);
  gate.resolve();
  await Promise.all([first, second]);
  assert.equal(updates().length, 2);
  assert.deepEqual(host.stored(id).limits, { memoryBytes: 64 * MIB, cpuCores: 1 });
});

Deno.test("update: a job that ends meanwhile has ended, and one that has ended is refused", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.executor.onUpdate = () => host.end(id);
  await host.manager.update(id, MORE);
  assert.equal(host.stored(id).state.kind, "exited");
  await assertJobError(host.manager.update(id, MORE), "precondition", /has already exited/);
  await assertJobError(host.manager.update(crypto.randomUUID(), MORE), "not-found", /No job/);
});

Deno.test("update: a job that is being stopped can be given more", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  const stopped = host.manager.stop(id);
  await soon("the stop", () => host.stored(id).state.kind === "stopping");
  await host.manager.update(id, MORE);
  assert.deepEqual(host.stored(id).limits, { memoryBytes: 64 * MIB });
  await host.end(id);
  await stopped;
});

Deno.test("update: one without an answer of the kernel is brought to its end by the next one", async () => {
  const { host, id } = await hostWithJob();
  await using _ = host;
  host.executor.failures.inject("update", {
    times: 1,
    error: new JobError("internal", "it is not known"),
  });
  await assertJobError(host.manager.update(id, MORE), "internal", /not known/);
  assert(host.stored(id).comingLimits !== undefined);
  await host.manager.update(id, change({ limits: { cpuCores: 1 } }));
  const updates = host.executor.calls.filter((call) => call.startsWith("update"));
  assert.match(updates[1] ?? "", /memoryBytes=67108864 .*processes=none/);
  assert.deepEqual(host.stored(id).limits, { memoryBytes: 64 * MIB, cpuCores: 1 });
  assert.equal(host.stored(id).comingLimits, undefined);
});

Deno.test("update: the next server brings to an end what an earlier one had begun; back where it cannot", async () => {
  for (const isRefused of [false, true]) {
    await using host = await JobHost.prepare();
    const comingLimits = { limits: { memoryBytes: MIB }, ownLimits: { memoryBytes: MIB } };
    const record = recordOf({ kind: "running", pid: FAKE_PID, startedAtMs: 1 }, {
      limits: { memoryBytes: 8 * MIB },
      askedLimits: {},
      comingLimits,
    });
    host.store.insert(record);
    host.executor.adoptions.set(record.id, { kind: "tracked", ...host.executor.begin(record.id) });
    if (isRefused) host.executor.failures.inject("update", { times: 1, error: REFUSED });
    await host.serve();
    await soon("the end of the change", () => host.stored(record.id).comingLimits === undefined);
    await soon(
      "its limits",
      () => host.stored(record.id).limits.memoryBytes === (isRefused ? 8 : 1) * MIB,
    );
    const last = host.executor.calls.findLast((call) => call.startsWith("update")) ?? "";
    assert.match(last, new RegExp(`memoryBytes=${(isRefused ? 8 : 1) * MIB} `));
  }
});

Deno.test("update: what an executor cannot do is refused with its reason", async () => {
  const updates = { refused: "it keeps its limits" };
  await using host = await JobHost.open({}, { updates });
  const id = await host.start();
  await assertJobError(host.manager.update(id, MORE), "precondition", /it keeps its limits/);
});
