/** A job that is removed while somebody reads its output. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { deferred } from "../../common/deferred.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { NetworkPath } from "../support/network_path.ts";
import { TestServer } from "../support/server.ts";
import { inTime, until } from "../support/wait.ts";

const OUTPUT_BYTES = 60_000_000;

/** The second connection has taken over by then (client/jobs/take_over.ts), and most of the output is to come. */
const READ_BEFORE = 12_000_000;

Deno.test("remove: who is reading gets the rest of the output", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("head", "-c", String(OUTPUT_BYTES), "/dev/zero");
  await client.wait(id);
  const reader = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: ["stream", id],
    env: server.cliEnvironment(),
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const notes = new Response(reader.stderr).text();
  let readBytes = 0;
  let mayGoOn = () => {};
  const removed = new Promise<void>((resolve) => mayGoOn = resolve);
  const read = (async () => {
    for await (const bytes of reader.stdout) {
      readBytes += bytes.length;
      if (readBytes > READ_BEFORE) await removed;
    }
  })();
  await until("it reads", () => readBytes > READ_BEFORE);
  await client.remove(id);
  assert.deepEqual([...Deno.readDirSync(join(server.logDir, "jobs"))], []);
  mayGoOn();
  await read;
  const { code } = await reader.status;
  assert.deepEqual([readBytes, code, await notes], [OUTPUT_BYTES, 0, ""]);
});

Deno.test("remove: before the second connection can ask, the first brings the rest", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("head", "-c", String(OUTPUT_BYTES), "/dev/zero");
  await client.wait(id);
  const begun = deferred<void>();
  const removed = deferred<void>();
  using path = new NetworkPath(server.port, Infinity, async (count) => {
    if (count === 1) return;
    begun.resolve();
    await removed.promise;
  });
  const reader = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: ["stream", id],
    env: { ...server.cliEnvironment(), JOB_WORKER_SERVER: `localhost:${path.port}` },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const finished = reader.output();
  await inTime("the second connection", begun.promise);
  await client.remove(id);
  removed.resolve();
  const { code, stdout, stderr } = await finished;
  const notes = new TextDecoder().decode(stderr);
  assert.deepEqual([stdout.length, code, notes], [OUTPUT_BYTES, 0, ""]);
});
