import { strict as assert } from "node:assert";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, requestOf } from "../support/job_host.ts";

Deno.test("an end is on record only when the output is on the disk", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  await host.print(id, "bye\n");
  host.store.calls.length = 0;
  await host.end(id);
  assert.deepEqual(host.store.calls, ["syncOutput", "update", "synced"]);
});

Deno.test("an end is recorded, and the failure told, where the disk refuses the output", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  host.store.failures.inject("syncOutput");
  await host.end(id);
  assert.equal(host.stored(id).state.kind, "exited");
  assert.deepEqual(host.log.messages("error"), ["cannot bring a job's output to the disk"]);
});

Deno.test("an end is recorded where the output file is gone", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  await Deno.remove(host.folderOf(id), { recursive: true });
  await host.end(id);
  assert.equal(host.stored(id).state.kind, "exited");
});

Deno.test("an end says how much output there was, with what the disk refused or somebody cut off", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  await host.print(id, "begin\n");
  await host.end(id, { unwrittenBytes: 7 });
  assert.equal(host.stored(id).outputBytes, 13);
  const { outputBytes } = await host.manager.query(id);
  assert.equal(outputBytes, 13);
});

Deno.test("an end waits for both outputs where they are apart, and says how much there was of each", async () => {
  const synced: number[] = [];
  await using host = await JobHost.open({
    syncOutput: async (output) => {
      await Promise.resolve();
      synced.push(output.size().bytes);
    },
  });
  const id = await host.start(requestOf({ separateStderr: true }));
  await host.print(id, "out\n");
  await host.print(id, "errors\n", "errors");
  const errors = host.manager.output(id, { stderr: true });
  await host.end(id, { unwrittenBytes: 1, unwrittenErrorBytes: 10 });
  assert.deepEqual(synced, [4, 7]);
  const { outputBytes, stderrBytes } = host.stored(id);
  assert.deepEqual([outputBytes, stderrBytes], [5, 17]);
  assert.equal((await host.manager.query(id)).stderrBytes, 17);
  const chunks = [];
  for await (const chunk of errors.read({ follow: true }, new AbortController().signal)) {
    chunks.push([chunk.offset, chunk.bytes.length, chunk.gapBytes]);
  }
  assert.deepEqual(chunks, [[0, 7, 0], [17, 0, 10]], "the end, and what is missing there");
});

Deno.test("the standard error of a job that has none is refused", async () => {
  await using host = await JobHost.open();
  const id = await host.start(requestOf());
  const read = async () => await Promise.resolve(host.manager.output(id, { stderr: true }));
  await assertJobError(read(), "precondition", /keeps it apart/);
  assert.equal((await host.manager.query(id)).stderrBytes, 0);
});
