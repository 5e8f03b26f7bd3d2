/** What the product is made of: licences, known defects, and that the same sources make the same bytes. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { testUnless } from "../support/skip.ts";
import { BIN_DIR, LOG_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** The client as an ES module, and its types. */
const LIBRARY = ["worker-client.js", "worker-client.d.ts"];

const LICENCES = new Set(["MIT", "ISC", "BSD-3-Clause", "BSD-2-Clause", "Apache-2.0", "0BSD"]);

/** Every package that is installed, with its licence. */
async function licences(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const store = join(ROOT, "node_modules", ".deno");
  for await (const { name: folder } of Deno.readDir(store)) {
    const packages = join(store, folder, "node_modules");
    const { stdout } = await run("find", [packages, "-maxdepth", "3", "-name", "package.json"]);
    for (const file of stdout.trim().split("\n").filter((line) => line !== "")) {
      const { name, version, license } = JSON.parse(await Deno.readTextFile(file));
      if (typeof version === "string") found.set(`${name}@${version}`, String(license));
    }
  }
  return found;
}

Deno.test("dependencies: every package has a licence that asks for nothing but to be named", async () => {
  const found = await licences();
  assert(found.size > 30, `${found.size} packages`);
  for (const [name, licence] of found) assert(LICENCES.has(licence), `${name}: ${licence}`);
});

Deno.test("dependencies: every direct one is pinned, and named in the docs with its licence", async () => {
  const text = await Deno.readTextFile(join(ROOT, "docs", "decisions.md"));
  const rows = new Map(
    [...text.matchAll(/^\| `(\S+)` +\| (\S+)/gm)].map(([, name, licence]) => [name, licence]),
  );
  const found = await licences();
  // The same package may stand there again, for its subpaths.
  const sources = new Set(Object.values(config.imports).map((text) => text.replaceAll(":/", ":")));
  for (const source of new Set([...sources].map((text) => text.replace(/\/$/, "")))) {
    const [, name = "", version = ""] = /^npm:(@?[^@]+)@([^/]+)$/.exec(source) ?? [];
    assert.match(version, /^\d+\.\d+\.\d+$/, `${source} is not pinned`);
    assert.equal(
      rows.get(name),
      found.get(`${name}@${version}`),
      `${name} in docs/decisions.md`,
    );
    rows.delete(name);
  }
  assert.deepEqual([...rows.keys()], [], "the docs name what is no dependency");
});

Deno.test("binaries: the checksums beside them are theirs", async () => {
  const { code, stdout, stderr } = await run("sha256sum", ["--check", "SHA256SUMS"], {
    cwd: BIN_DIR,
  });
  assert.equal(code, 0, stderr);
  const names = ["worker-server", "worker-client", "worker-certs", ...LIBRARY];
  assert.equal(stdout, names.map((name) => `${name}: OK\n`).join(""));
});

Deno.test("binaries: the same sources make the same bytes, wherever and whenever", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-again-" });
  try {
    const flags = ["--out", folder, "--log-dir", LOG_DIR];
    const again = await run(Deno.execPath(), [
      "run",
      "--allow-all",
      "tools/build/main.ts",
      ...flags,
    ], {
      cwd: ROOT,
    });
    assert.equal(again.code, 0, again.stderr);
    for (const name of ["worker-server", "worker-client", "worker-certs", ...LIBRARY]) {
      const [one, other] = await Promise.all(
        [BIN_DIR, folder].map(async (dir) =>
          createHash("sha256").update(await Deno.readFile(join(dir, name))).digest("hex")
        ),
      );
      assert.equal(one, other, name);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const audit = await run(Deno.execPath(), ["audit", "--level=moderate"], { cwd: ROOT });
const isMute = /error sending request|endpoint|registry|status code/i.test(audit.stderr);

testUnless(
  isMute ? "the registry does not answer questions about advisories here" : undefined,
  {
    name: "dependencies: no known defect of moderate weight or more",
    fn: () => assert.equal(audit.code, 0, audit.stdout + audit.stderr),
  },
);
