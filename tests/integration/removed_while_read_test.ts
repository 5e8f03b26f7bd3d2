/** A job that is removed while somebody reads its output. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

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
