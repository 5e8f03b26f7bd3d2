/** Both ends trust the private CA, and nothing that this machine or runtime trusts besides. */
// Attacks: the client, by servers that another CA signed.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runCerts, testPki } from "../support/pki.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";

Deno.test("worker-client: a server whose certificate another CA signed is refused, though the runtime trusts it", async () => {
  await using other = await otherServer();
  const { pki, folder } = other;
  // The server takes clients of both CAs, so that only the client's own check can refuse.
  await using server = await TestServer.start({ flags: other.flags });
  for (const address of [`localhost:${server.port}`, `127.0.0.1:${server.port}`]) {
    const env = {
      JOB_WORKER_SERVER: address,
      JOB_WORKER_IDENTITY: pki.file("alice.pem"),
      DENO_CERT: join(folder, "ca.crt"),
    };
    const { code, stderr } = await run(join(BIN_DIR, "worker-client"), ["start", "true"], { env });
    assert.equal(code, 3, stderr);
    assert.match(
      stderr,
      /^worker-client: Cannot trust the server .*its certificate was not signed by the CA/,
    );
  }
  assert.doesNotMatch(server.log, /JobService\/Start/);
});

/** A server certificate of another CA, and a list of both CAs. */
async function otherServer() {
  const pki = await testPki();
  const folder = await Deno.makeTempDir({ prefix: "job-worker-other-" });
  await runCerts(BIN_DIR, ["init", "--dir", folder]);
  const names = ["--server", "--san", "localhost,127.0.0.1"];
  await runCerts(BIN_DIR, ["issue", "--dir", folder, "--name", "server", ...names]);
  const both = await Deno.readTextFile(join(folder, "ca.crt")) +
    await Deno.readTextFile(pki.file("ca.crt"));
  await Deno.writeTextFile(join(folder, "both.crt"), both);
  return {
    pki,
    folder,
    flags: [
      ["--ca", join(folder, "both.crt")],
      ["--cert", join(folder, "server.crt")],
      ["--key", join(folder, "server.key")],
    ].flat(),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}
