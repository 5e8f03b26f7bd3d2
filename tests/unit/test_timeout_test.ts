import assert from "node:assert/strict";
import { join } from "node:path";

const PRELOAD = join(import.meta.dirname ?? ".", "../support/test_timeout.ts");

/** Each way to register a test, with one that never ends and one that does. */
const TESTS = `
const forever = () => new Promise(() => {});
Deno.test("name and function", forever);
Deno.test({ name: "definition", fn: forever });
Deno.test("name, options and function", { sanitizeOps: false }, forever);
Deno.test(async function named() { await forever(); });
Deno.test("ends", () => {});
Deno.test("is given its context", async (t) => { await t.step("step", () => {}); });
`;

Deno.test("test_timeout: a test that waits for ever fails, however it is registered", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-timeout-" });
  try {
    await Deno.writeTextFile(join(folder, "a_test.ts"), TESTS);
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-config", `--preload=${PRELOAD}`, "--allow-env", folder],
      env: { NO_COLOR: "1", JOB_WORKER_TEST_TIMEOUT_MS: "100" },
    }).output();
    const output = new TextDecoder().decode(stdout);
    assert.equal(success, false);
    assert.match(output, /FAILED \| 2 passed \(1 step\) \| 4 failed/);
    for (const name of ["name and function", "definition", "name, options and function", "named"]) {
      assert.match(output, new RegExp(`"${name}" took more than 100 ms`), output);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
