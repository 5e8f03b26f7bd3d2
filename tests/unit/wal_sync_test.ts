import { strict as assert } from "node:assert";
import { join } from "node:path";
import { WalSync } from "../../lib/store/wal_sync.ts";

Deno.test("WalSync: whoever asks before a wait has begun shares it, and nobody one that has", async () => {
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

Deno.test("WalSync: a disk that fails is heard of by those who wait for it, and tried again", async () => {
  await using folder = await temporaryFolder();
  const log = new WalSync(folder.log);
  await assert.rejects(log.sync(), Deno.errors.NotFound);
  await assert.rejects(log.sync(), Deno.errors.NotFound);
  await Deno.writeTextFile(folder.log, "x");
  await log.sync();
  log.close();
  log.close();
});

Deno.test("WalSync: those who come during a wait that fails have one of their own", async () => {
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

async function temporaryFolder(): Promise<AsyncDisposable & { log: string }> {
  const path = await Deno.makeTempDir({ prefix: "job-worker-sync-" });
  return {
    log: join(path, "jobs.db-wal"),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
