/** The folder of the CA: by option, by variable, or the usual one. */
import assert from "node:assert/strict";
import { run } from "../../certs/program.ts";

/** The folder that `list` looks for a CA in; none of them is there. */
async function folderOf(args: readonly string[], variable: string | undefined): Promise<string> {
  let message = "";
  const status = await run(["list", ...args], {
    out: () => {},
    err: (text) => message += text,
    progress: () => {},
    environment: (name) => name === "JOB_WORKER_CERTS_DIR" ? variable : undefined,
  });
  assert.equal(status, 1);
  return /the folder (\S+) does not exist/.exec(message)?.[1] ?? message;
}

Deno.test("worker-certs: --dir goes before the variable, and the variable before pki", async () => {
  const current = Deno.cwd();
  const empty = await Deno.makeTempDir();
  Deno.chdir(empty);
  try {
    assert.equal(await folderOf([], undefined), "pki");
    assert.equal(await folderOf([], ""), "pki");
    assert.equal(await folderOf([], "/nowhere/ca"), "/nowhere/ca");
    assert.equal(await folderOf(["--dir", "other"], "/nowhere/ca"), "other");
  } finally {
    Deno.chdir(current);
    await Deno.remove(empty);
  }
});
