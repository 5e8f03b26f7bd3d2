import { strict as assert } from "node:assert";
import type { JobManagerOptions } from "../../lib/job.ts";
import type { Cut } from "../../lib/logs/rotation.ts";
import { TimeIndex } from "../../lib/logs/time_index.ts";
import { JobHost, requestOf, soon } from "../support/job_host.ts";
import { isSettled } from "../support/settled.ts";
import { until } from "../support/wait.ts";

const MAX_BYTES = 64 * 1024;

/** More than the bound and the step that rotation waits for: 16 KiB are cut. */
const OUTPUT = new Uint8Array(MAX_BYTES + 16 * 1024).fill(65);

/** A host with one job that has written beyond the bound. */
async function hostWithOutput(options: Partial<JobManagerOptions> = {}) {
  const host = await JobHost.open({ maxOutputBytes: MAX_BYTES, ...options });
  const id = await host.start();
  await host.print(id, OUTPUT);
  host.store.calls.length = 0;
  return { host, id };
}

Deno.test("rotate: the new beginning is on record, and on the disk, before the first byte is freed", async () => {
  const gate = Promise.withResolvers<void>();
  const freed: unknown[] = [];
  const { host, id } = await hostWithOutput({
    freeHeads: async (cuts) => {
      await Promise.resolve();
      freed.push(...cuts);
      assert.equal(host.stored(id).firstOffset, 16_384);
      assert.equal(host.manager.output(id).firstOffset, 16_384);
    },
  });
  await using _host = host;
  host.store.onSynced = () => gate.promise;
  const rotated = host.manager.rotate();
  await until("the new beginning is stored", () => host.store.calls.includes("synced"));
  assert.deepEqual(host.store.calls, ["setFirstOffset", "synced"]);
  assert.equal(host.manager.output(id).firstOffset, 0, "readers may still have it");
  assert.deepEqual(freed, []);
  gate.resolve();
  await rotated;
  assert.deepEqual(freed, [{ file: `${host.folderOf(id)}/output`, length: 16_384 }]);
  assert.equal((await host.manager.query(id)).record.firstOffset, 16_384);
});

Deno.test("rotate: when outputs have grown is taken down, and forgotten with what is cut off", async () => {
  const { host, id } = await hostWithOutput();
  await using _host = host;
  const timesOf = async () => TimeIndex.parse(await Deno.readFile(`${host.folderOf(id)}/times`));
  await host.manager.rotate();
  assert.equal((await timesOf()).last?.bytes, OUTPUT.length);
  await host.print(id, OUTPUT);
  await host.manager.rotate();
  assert.equal((await timesOf()).count, 2);
  const grown = host.manager.output(id).firstOffset;
  assert(
    grown > OUTPUT.length && (await timesOf()).count === 2,
    "when the kept part begins is known",
  );
  await host.print(id, OUTPUT);
  await host.manager.rotate();
  const { count, last } = await timesOf();
  assert.deepEqual([count, last?.bytes], [2, 3 * OUTPUT.length]);
});

Deno.test("rotate: standard error that is kept apart is cut on its own, and the next server knows where", async () => {
  const freed: Cut[] = [];
  const cuts = (more: readonly Cut[]) => Promise.resolve(void freed.push(...more));
  await using host = await JobHost.open({ maxOutputBytes: MAX_BYTES, freeHeads: cuts });
  const id = await host.start(requestOf({ separateStderr: true }));
  await host.print(id, "out\n");
  await host.print(id, OUTPUT, "errors");
  host.store.calls.length = 0;
  await host.manager.rotate();
  assert.deepEqual(freed, [{ file: `${host.folderOf(id)}/errors`, length: 16_384 }]);
  assert.deepEqual(host.store.calls, ["update", "synced"], "on record before it is freed");
  const { firstOffset, stderrFirstOffset } = host.stored(id);
  assert.deepEqual([firstOffset, stderrFirstOffset], [0, 16_384]);
  await host.end(id);
  assert.equal(host.manager.output(id, { stderr: true }).firstOffset, 16_384);
  assert.equal(host.manager.output(id).firstOffset, 0);
});

Deno.test("rotate: a disk that refuses the times is told once, and costs no output", async () => {
  const { host, id } = await hostWithOutput({ maxOutputBytes: Infinity });
  await using _host = host;
  await Deno.mkdir(`${host.folderOf(id)}/times`);
  for (let time = 0; time < 3; time++) await host.manager.rotate();
  const told = "cannot keep the times of a job's output; the output itself is kept";
  assert.deepEqual(host.log.messages("warn"), [told]);
  assert.equal((await host.manager.query(id)).outputBytes, OUTPUT.length);
});

Deno.test("rotate: below the bound, and without one, nothing is done", async () => {
  await using host = await JobHost.open({ maxOutputBytes: MAX_BYTES });
  const id = await host.start();
  await host.print(id, OUTPUT.subarray(0, MAX_BYTES));
  host.store.calls.length = 0;
  await host.manager.rotate();
  assert.deepEqual(host.store.calls, []);
  const { host: unbounded } = await hostWithOutput({ maxOutputBytes: Infinity });
  await using _unbounded = unbounded;
  await unbounded.manager.rotate();
  assert.deepEqual(unbounded.store.calls, []);
});

Deno.test("rotate: nothing is freed while the new beginning is not on the disk", async () => {
  for (const operation of ["setFirstOffset", "synced"] as const) {
    const { host, id } = await hostWithOutput();
    await using _host = host;
    host.store.failures.inject(operation);
    await host.manager.rotate();
    assert(!host.store.calls.includes("freeHeads"), operation);
    assert.equal(host.manager.output(id).firstOffset, 0);
    assert.deepEqual(host.log.messages("error"), ["cannot rotate output"]);
    host.store.failures.clear();
    await host.manager.rotate();
    assert(host.store.calls.includes("freeHeads"), "not tried again");
    assert.equal(host.manager.output(id).firstOffset, 16_384);
  }
});

Deno.test("rotate: an output that a job made larger than numbers can tell is told once, and kept", async () => {
  const { host, id } = await hostWithOutput();
  await using _host = host;
  const output = host.manager.output(id);
  output.look = () => Promise.resolve({ bytes: 2 ** 62, timeMs: 0 });
  for (let time = 0; time < 3; time++) await host.manager.rotate();
  assert.deepEqual(host.log.messages("error"), ["cannot rotate output"]);
  assert.equal(host.stored(id).firstOffset, 0);
});

Deno.test("rotate: one job whose beginning cannot be stored does not keep the others", async () => {
  const { host, id } = await hostWithOutput();
  await using _host = host;
  const other = await host.start();
  await host.print(other, OUTPUT);
  host.store.failures.inject("setFirstOffset", { times: 1 });
  await host.manager.rotate();
  assert.deepEqual([id, other].map((one) => host.manager.output(one).firstOffset), [0, 16_384]);
});

Deno.test("rotate: bytes that cannot be freed are logged; readers know that they may go", async () => {
  const { host, id } = await hostWithOutput();
  await using _host = host;
  host.store.failures.inject("freeHeads");
  await host.manager.rotate();
  assert.deepEqual(host.log.messages("error"), ["cannot rotate output"]);
  assert.equal(host.manager.output(id).firstOffset, 16_384);
  assert.deepEqual(host.activeIds, [id]);
});

Deno.test("rotate: a job's end waits for the last rotation, and comes whatever that does", async () => {
  for (const operation of ["setFirstOffset", "freeHeads"] as const) {
    const { host, id } = await hostWithOutput();
    await using _host = host;
    host.store.failures.inject(operation);
    await host.end(id);
    assert.equal(host.stored(id).state.kind, "exited", operation);
    assert.deepEqual(host.activeIds, []);
  }
  const { host, id } = await hostWithOutput();
  await using _host = host;
  await host.end(id);
  assert.deepEqual(
    host.store.calls,
    ["setFirstOffset", "synced", "freeHeads", "syncOutput", "update", "synced"],
  );
  assert.equal(host.stored(id).firstOffset, 16_384);
  assert.equal(host.manager.output(id).firstOffset, 16_384);
});

Deno.test("rotate: a job that ends while its beginning is stored is rotated all the same", async () => {
  const { host, id } = await hostWithOutput();
  await using _host = host;
  const output = host.manager.output(id);
  const gate = Promise.withResolvers<void>();
  host.store.onSynced = () => host.store.calls.length <= 2 ? gate.promise : Promise.resolve();
  const rotated = host.manager.rotate();
  host.executor.end(id);
  await soon("the end", () => host.store.endedTotals().count === 1);
  gate.resolve();
  await rotated;
  assert.equal(output.firstOffset, 16_384, "a reader is not told what is gone");
  assert.deepEqual(host.log.messages("error"), []);
});

Deno.test("rotate: a stop that comes during a job's last rotation signals nobody, and finds the job ended", async () => {
  const gate = Promise.withResolvers<void>();
  const { host, id } = await hostWithOutput({ freeHeads: () => gate.promise });
  await using _host = host;
  const timers = host.clock.pendingMs.length;
  host.executor.end(id);
  await soon("the rotation", () => host.manager.output(id).firstOffset > 0);
  const stopped = host.manager.stop(id, { graceMs: 5000 });
  assert(!await isSettled(stopped), "answered before the end is on record");
  gate.resolve();
  await stopped;
  assert(!host.executor.calls.some((call) => call.startsWith("terminate")));
  assert.equal(host.stored(id).state.kind, "exited");
  assert.equal(host.clock.pendingMs.length, timers, "a timer is left");
});
