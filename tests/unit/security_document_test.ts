import { strict as assert } from "node:assert";
import { join } from "node:path";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** A cell of docs/security.md names a folder once: `tests/integration/a_test.ts`, `b_test.ts`. */
function namedTests(cell: string): string[] {
  let folder = "";
  return [...cell.matchAll(/`((?:tests\/\w+\/)?)(\w+_test\.ts)`/g)].map(
    ([, own = "", name = ""]) => {
      if (own !== "") folder = own;
      return folder + name;
    },
  );
}

Deno.test("docs/security.md: every promise names tests, and all of them are there", async () => {
  const text = await Deno.readTextFile(join(ROOT, "docs", "security.md"));
  const [, table = ""] = /## What is promised\n([^]*?)\n## /.exec(text) ?? [];
  const promises = table.split("\n").filter((line) => /^\| (?!Promise |---)/.test(line));
  assert.ok(promises.length > 15);
  for (const line of promises) {
    const tests = namedTests(line.split("|")[2] ?? "");
    assert.ok(tests.length > 0, `no test is named: ${line}`);
    for (const path of tests) {
      const info = await Deno.stat(join(ROOT, path)).catch(() => undefined);
      assert.ok(info?.isFile, `${path} is not there`);
    }
  }
});
