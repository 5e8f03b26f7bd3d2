/** What the documents say about this repository: paths, folders, tasks, environment variables. */
import { strict as assert } from "node:assert";
import { join, posix } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { codeSpansOf, proseOf, tableRowsOf, tasksOf } from "../support/document_commands.ts";
import { documentNames, readDocument, ROOT } from "../support/documents.ts";

/** Folders that are generated or not the repository's. */
const IGNORED: ReadonlySet<string> = new Set([".git", "bin", "build", "node_modules"]);

const CODE = /\.(tsx?|sh|proto)$/;

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    if (folder === "" && IGNORED.has(name)) continue;
    const path = posix.join(folder, name);
    if (isDirectory) yield* filesBelow(path);
    else yield path;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(join(ROOT, path)).then(() => true, () => false);
}

Deno.test("tasksOf: tasks in blocks and in the text", () => {
  const text =
    "`deno task a` npx -y deno@2.7.14 task b:c --d\n\n```sh\ndeno task e\n```\n task f deno\ntask g";
  assert.deepEqual([...tasksOf(text)], ["a", "b:c", "e", "g"]);
});

Deno.test("tableRowsOf: cells of all tables, without rulers and code", () => {
  const text = "| A | `b \\| c` |\n| :-- | --: |\n| d |  |\n\n```text\n| no |\n```\nx | y\n";
  assert.deepEqual(tableRowsOf(text), [["A", "`b \\| c`"], ["d", ""]]);
});

Deno.test("codeSpansOf: what is between backquotes", () => {
  assert.deepEqual(codeSpansOf("a `b`, `c d`e"), ["b", "c d"]);
});

/** Files and folders named in code spans: `lib/job.ts`, `tests/unit`. */
const PATH =
  /^(bench|certs|client|common|deploy|docs|examples|lib|proto|soak|tests|tools)(\/[\w.*-]+)*\/?$/;

Deno.test("documents: every file and folder of the repository that they name exists", async () => {
  const missing: string[] = [];
  let count = 0;
  for (const name of await documentNames()) {
    for (const span of codeSpansOf(proseOf(await readDocument(name)))) {
      const [path = ""] = span.split(/\s/);
      // NAME stands for any name; a word alone may be something else than a folder.
      if (!PATH.test(path) || !path.includes("/") || /[A-Z]{2}|\*/.test(path)) continue;
      count++;
      if (!await exists(path)) missing.push(`${name}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
  assert(count > 40, `only ${count} paths were found`);
});

Deno.test("ARCHITECTURE.md: its table has every folder with code, and nothing that does not exist", async () => {
  const section = /^## Where things are\n([^]*?)\n## /m.exec(await readDocument("ARCHITECTURE.md"));
  const [, ...rows] = tableRowsOf(section?.[1] ?? "");
  const named = rows.flatMap(([cell = ""]) => codeSpansOf(cell));
  assert.deepEqual(named.filter((name, at) => named.indexOf(name) !== at), [], "named twice");
  for (const name of named) assert(await exists(name), `${name} does not exist`);
  const files = await Array.fromAsync(filesBelow(""));
  const folders = new Set(
    files.filter((path) => CODE.test(path) && !path.startsWith("tests/fixtures/"))
      .map((path) => posix.dirname(path)),
  );
  // A file of lib/ with a folder of the same name is that folder's face; the others are named.
  const alone = files.filter((path) => /^(lib\/)?\w+\.ts$/.test(path))
    .filter((path) => !folders.has(path.replace(/\.ts$/, "")));
  const expected = [...folders, ...alone].filter((path) => path !== "." && path !== "lib");
  assert.deepEqual(expected.filter((path) => !named.includes(path)), [], "not in the table");
});

Deno.test("documents: every task that they name exists", async () => {
  for (const name of await documentNames()) {
    const unknown = [...tasksOf(await readDocument(name))].filter((task) =>
      !Object.hasOwn(config.tasks, task)
    );
    assert.deepEqual(unknown, [], name);
  }
});

Deno.test("HACKING.md: names every task", async () => {
  const named = tasksOf(await readDocument("HACKING.md"));
  assert.deepEqual(Object.keys(config.tasks).filter((task) => !named.has(task)), []);
});

/** Variables that every program knows. */
const COMMON: ReadonlySet<string> = new Set(["HOME", "PATH"]);

/** The environment variables that tests and tools read. */
async function variablesRead(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const folder of ["bench", "soak", "tests", "tools"]) {
    for await (const path of filesBelow(folder)) {
      if (!/\.tsx?$/.test(path)) continue;
      const source = await readDocument(path);
      for (const [, name = ""] of source.matchAll(/\bDeno\.env\.get\(\s*"(\w+)"/g)) found.add(name);
    }
  }
  return found.difference(COMMON);
}

Deno.test("HACKING.md: has every environment variable of tests and tools, and no other", async () => {
  const section = /^## Environment variables\n([^]*?)\n## /m.exec(await readDocument("HACKING.md"));
  const [, ...rows] = tableRowsOf(section?.[1] ?? "");
  const documented = rows.flatMap(([cell = ""]) => codeSpansOf(cell));
  const read = await variablesRead();
  assert(read.has("JOB_WORKER_FUZZ_SEED"), "the search misses what is read");
  assert.deepEqual(documented.toSorted(), [...read].sort());
});
