/** The compiled client's contexts: one file says where the servers are, and who calls. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";

Deno.test("worker-client context: a server and an identity by name, from any folder", async () => {
  await using one = await TestServer.start();
  await using other = await TestServer.start();
  const home = join(one.folder, "home");
  const client = (...args: string[]) =>
    run(join(BIN_DIR, "worker-client"), args, {
      env: { HOME: home, XDG_CONFIG_HOME: "" },
      cwd: "/",
    });
  const add = async (name: string, server: TestServer, file: string) => {
    const identity = server.pki.file(file);
    const { code, stderr } = await client(
      ...["context", "add", name, "--server", server.address, "-i", identity],
    );
    assert.deepEqual([code, stderr], [0, ""]);
  };
  await add("one", one, "alice.pem");
  await add("other", other, "bob.pem");
  const id = (await client("start", "-q", "sleep", "600")).stdout.trim();
  assert.equal((await client("list", "-q")).stdout.trim(), id);
  assert.equal((await client("list", "-q", "--context", "other")).stdout, "");
  const refused = await client("--context", "other", "start", "true");
  assert.equal(refused.code, 4);
  assert.match(refused.stderr, /bob is reader and may not call Start/);
  assert.equal((await client("context", "use", "other")).code, 0);
  assert.equal((await client("query", id)).code, 5);
  assert.match((await client("context", "ls")).stdout, /^\* +other +localhost:\d+ +\/.*bob\.pem$/m);
});

Deno.test("worker-client context: a folder that cannot be written is told, and nothing is half", async () => {
  await using server = await TestServer.start();
  // A file where the folder should be: root may write anywhere else.
  const home = join(server.folder, "home");
  await Deno.writeTextFile(home, "");
  const { code, stdout, stderr } = await run(
    join(BIN_DIR, "worker-client"),
    ["context", "add", "a", "--server", "a:1"],
    { env: { HOME: home, XDG_CONFIG_HOME: "" } },
  );
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^worker-client: Cannot write the config file [^\n]+\n$/);
});
