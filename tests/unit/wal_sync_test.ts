import { strict as assert } from "node:assert";
import { join } from "node:path";
import { WalSync } from "../../lib/store/wal_sync.ts";

Deno.test("WalSync: callers before a sync begins share it, and later ones have the next", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(folder.log, "x");
  const log = new WalSync(folder.log);
  const first = log.sync();
  assert.equal(log.sync(), first);
  await Promise.resolve(); // It begins.
  await Promise.resolve();
  const second = log.sync();
  assert.notEqual(second, first, "what was written since it began may not be in it");
  assert.equal(log.sync(), second);
  await Promise.all([first, second]);
  assert.notEqual(log.sync(), second);
  await log.sync();
  log.close();
});

Deno.test("WalSync: a disk that fails is told to the callers that wait for it, and tried again", async () => {
  await using folder = await temporaryFolder();
  const log = new WalSync(folder.log);
  await assert.rejects(log.sync(), Deno.errors.NotFound);
  await assert.rejects(log.sync(), Deno.errors.NotFound);
  await Deno.writeTextFile(folder.log, "x");
  await log.sync();
  log.close();
  log.close();
});

Deno.test("WalSync: callers during a sync that fails have one of their own", async () => {
  await using folder = await temporaryFolder();
  const log = new WalSync(folder.log);
  const first = log.sync();
  await Promise.resolve();
  await Promise.resolve();
  const second = log.sync();
  await assert.rejects(first, Deno.errors.NotFound);
  await Deno.writeTextFile(folder.log, "x");
  await second;
  log.close();
});

Deno.test("WalSync: settles only after the disk has taken the data", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(folder.log, "x");
  const syncData = Deno.FsFile.prototype.syncData;
  const begun = Promise.withResolvers<void>();
  const disk = Promise.withResolvers<void>();
  Deno.FsFile.prototype.syncData = () => {
    begun.resolve();
    return disk.promise;
  };
  const log = new WalSync(folder.log);
  try {
    let isSettled = false;
    const synced = log.sync().then(() => isSettled = true);
    await Promise.race([begun.promise, synced]);
    // Turns of the event loop, in which a promise that waits for nothing would settle.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert(!isSettled);
    disk.resolve();
    await synced;
    Deno.FsFile.prototype.syncData = () => Promise.reject(new Error("the disk fails"));
    await assert.rejects(log.sync(), /the disk fails/);
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
    log.close();
  }
});

async function temporaryFolder(): Promise<AsyncDisposable & { log: string }> {
  const path = await Deno.makeTempDir({ prefix: "job-worker-sync-" });
  return {
    log: join(path, "jobs.db-wal"),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
