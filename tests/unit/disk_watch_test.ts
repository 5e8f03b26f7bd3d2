import { strict as assert } from "node:assert";
import { join } from "node:path";
import { askDisk, DiskWatch } from "../../lib/store/disk_watch.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeTime } from "../support/fake_time.ts";

Deno.test("DiskWatch: a disk that has not answered for two seconds is stuck, until it answers", async () => {
  using time = new FakeTime();
  using log = new CapturedLog();
  let looks = 0;
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const watch = new DiskWatch(() => {
    looks += 1;
    return gate.promise;
  });
  await time.advance(5000);
  assert(looks > 5, `${looks} looks`);
  assert.equal(watch.isStuck, false);
  gate = Promise.withResolvers();
  await time.advance(2000);
  assert.equal(watch.isStuck, false, "a disk that only has much to do");
  await time.advance(1000);
  assert.equal(watch.isStuck, true);
  const before = looks;
  await time.advance(60_000);
  assert.equal(looks, before, "a look begins while another one hangs");
  assert.equal(log.messages("error").length, 1);
  // However the disk answers, it does.
  gate.reject(new Error("read-only"));
  await time.settle();
  assert.equal(watch.isStuck, false);
  assert.deepEqual(log.messages("warn"), ["the disk of the log directory answers again"]);
  gate = Promise.withResolvers();
  gate.resolve();
  await time.advance(2000);
  watch.close();
  assert.equal(time.pendingCount, 0);
});

Deno.test("DiskWatch: without processor no time is counted: one turn of the loop is one step", async () => {
  using time = new FakeTime();
  using _log = new CapturedLog();
  let answer = () => {};
  const watch = new DiskWatch(() => new Promise((resolve) => answer = resolve));
  // The process stood still for a minute, and the answer came meanwhile.
  await time.advance(250);
  answer();
  await time.settle();
  assert.equal(watch.isStuck, false);
  watch.close();
});

Deno.test("askDisk: changes nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "file"), "x");
    await assert.rejects(askDisk(folder), Deno.errors.NotFound);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
