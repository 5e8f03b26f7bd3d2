/** What reaches the compiled client and is no text: refused in one line, or not even begun. */
// Attacks: the client, by what is no text.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";

const CLIENT = join(BIN_DIR, "worker-client");

/** Runs the client in a shell, which can make what Deno cannot: bytes that are not UTF-8. */
function inShell(script: string) {
  return run("/bin/sh", ["-c", `bad="$(printf 'a\\377')"\n${script}`, CLIENT]);
}

for (const name of ["HOME", "XDG_CONFIG_HOME", "JOB_WORKER_SERVER", "JOB_WORKER_IDENTITY"]) {
  Deno.test(`worker-client: ${name} that is not UTF-8 is refused in one line`, async () => {
    const { code, stdout, stderr } = await inShell(`${name}="$bad" exec "$0" run true`);
    assert.deepEqual([code, stdout, stderr], [
      125,
      "",
      `worker-client: Cannot use the environment variable ${name}: its value is not UTF-8. ` +
      "Correct or unset it.\n",
    ]);
  });
}

Deno.test("worker-client: variables that it does not use need not be UTF-8", async () => {
  const { code, stdout } = await inShell('OTHER="$bad" LANG="$bad" exec "$0" --version');
  assert.equal(code, 0);
  assert.match(stdout, /^worker-client /);
});

Deno.test("worker-client: what ends the runtime itself starts nothing (docs/client.md)", async () => {
  assert.equal((await inShell('exec "$0" run "$bad"')).code, 101);
  const gone = 'folder="$(mktemp -d)"; cd "$folder"; rmdir "$folder"; ';
  assert.equal((await inShell(`${gone} exec "$0" run true`)).code, 1);
});
