import { strict as assert } from "node:assert";
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
