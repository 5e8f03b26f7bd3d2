/** The form of documents: blocks, links, messages. tests/integration/documents_test.ts runs them. */
import { strict as assert } from "node:assert";
import { dirname, join } from "node:path";
import {
  anchorsOf,
  blocksOf,
  callsOf,
  commandsOf,
  linksOf,
  messagesOf,
  misuseOf,
  optionsIn,
  spansOf,
  stepsOf,
  verbsIn,
} from "../support/document_commands.ts";
import { documentNames, readDocument, ROOT } from "../support/documents.ts";

/** Languages of fences: the first two are run; `ts` is by library_module_test.ts. */
const LANGUAGES = ["sh", "console", "ts", "text", "json", "yaml"];

Deno.test("blocksOf: language, text, line and the reason not to run it", () => {
  const text = "# A\n\n```sh\none\n\ntwo\n```\n\n<!-- not run: no host -->\n\n- x\n\n  ```text\n" +
    "  a\n    b\n  ```\n<!-- not run: no disk -->\n\n```console\n$ x\n```\n";
  assert.deepEqual(blocksOf(text), [
    { language: "sh", text: "one\n\ntwo\n", line: 4, notRun: undefined },
    { language: "text", text: "a\n  b\n", line: 14, notRun: undefined },
    { language: "console", text: "$ x\n", line: 20, notRun: "no disk" },
  ]);
  assert.throws(() => blocksOf("```sh\nx\n"), /line 1 is never closed/);
});

Deno.test("stepsOf: each command has the lines below it", () => {
  assert.deepEqual(stepsOf("$ a b   # c\n$ d\ne\n...\n"), [
    { command: "a b   # c", output: [] },
    { command: "d", output: ["e", "..."] },
  ]);
  assert.throws(() => stepsOf("a\n"), /begins with a command/);
});

Deno.test("commandsOf: words without quotes, comments and redirections", () => {
  const script = [
    "a 'b c'  \"d \\\" e\" f\\ g # h 'i",
    "X=1 j >k 2>&1 </dev/null && l | m -n \\",
    "  o; for p in q; do r#s; done",
    'id=$(t -u v) w "${x}" 2>"y z"',
  ].join("\n");
  assert.deepEqual(commandsOf(script), [
    ["a", "b c", 'd " e', "f g"],
    ["X=1", "j"],
    ["l"],
    ["m", "-n", "o"],
    ["for", "p", "in", "q"],
    ["do", "r#s"],
    ["done"],
    ["t", "-u", "v"],
    ["id=$(t -u v)", "w", "${x}"],
  ]);
});

Deno.test("callsOf: finds our programs anywhere in a command line", () => {
  assert.deepEqual(callsOf("if X=1 bin/worker-client a | xargs worker-certs b; then ls; fi"), [
    { program: "worker-client", args: ["a"] },
    { program: "worker-certs", args: ["b"] },
  ]);
});

Deno.test("spansOf: calls of our programs in the text, across line ends, but not messages", () => {
  const text = "a `worker-client list\n--all` b `worker-client: c` `worker-certs d`\n\n" +
    "```sh\n`worker-client no`\n```\n`ls` `worker-server` `worker-client VERB --help`\n";
  assert.deepEqual(spansOf(text), ["worker-client list --all", "worker-certs d"]);
});

Deno.test("misuseOf: accepts exactly the verbs and options of the help", () => {
  const help = "Usage: x [options] [command]\n\nOptions:\n  -i, --identity <file>  who\n" +
    "  --quiet                no word of --more\n\nCommands:\n  start [options] <p>  start\n" +
    "  list|ls [options]    print\n\nExamples:\n  x y\n";
  assert.deepEqual(verbsIn(help), ["start", "list", "ls"]);
  const options = optionsIn(help);
  assert.deepEqual([...options], [["--identity", true], ["-i", true], ["--quiet", false]]);
  const usage = {
    options,
    verbs: new Map([["start", new Map([["--name", true]])], ["ls", new Map()]]),
    runners: new Set(["start"]),
  };
  const misuse = (line: string) => misuseOf(line.split(" "), usage);
  assert.equal(misuse("-i a start --name=b --quiet c --unknown"), undefined);
  assert.equal(misuse("start --name b -- --unknown"), undefined);
  assert.equal(misuse("--name b start c"), "the program has no option --name");
  assert.equal(misuse("ls c --name b"), "ls has no option --name");
  // Texts speak of options without their values.
  assert.equal(misuse("start --name"), undefined);
  assert.equal(misuse("end"), "there is no verb end");
});

Deno.test("linksOf and anchorsOf: relative links, and headings as anchors", () => {
  const text = "# A `b-c` [d](e)!\n\n[x](y.md#z) `[no](no)` [w](https://w) [v](#a)\n\n" +
    "```text\n# no [no](no)\n```\n\n## A B\n\n## A B\n";
  assert.deepEqual(linksOf(text), ["e", "y.md#z", "#a"]);
  assert.deepEqual([...anchorsOf(text)], ["a-b-c-d", "a-b", "a-b-1"]);
});

Deno.test("documents: the target of every link and anchor exists", async () => {
  const dead: string[] = [];
  for (const name of await documentNames()) {
    for (const link of linksOf(await readDocument(name))) {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? name : join(dirname(name), path);
      const info = await Deno.stat(join(ROOT, target)).catch(() => undefined);
      const isThere = info !== undefined &&
        (anchor === undefined || anchorsOf(await readDocument(target)).has(anchor));
      if (!isThere) dead.push(`${name}: ${link}`);
    }
  }
  assert.deepEqual(dead, []);
});

Deno.test("documents: every fence has a language; only commands have a reason not to run", async () => {
  const wrong: string[] = [];
  for (const name of await documentNames()) {
    const text = await readDocument(name);
    const blocks = blocksOf(text);
    for (const { language, line, notRun } of blocks) {
      const isRun = language === "sh" || language === "console";
      if (!LANGUAGES.includes(language)) wrong.push(`${name}:${line}: "${language}"`);
      if (!isRun && notRun !== undefined) wrong.push(`${name}:${line}: its language never runs`);
    }
    const marks = text.split("<!-- not run").length - 1;
    const used = blocks.filter(({ notRun }) => notRun !== undefined).length;
    if (marks !== used) wrong.push(`${name}: a "not run" without a block`);
  }
  assert.deepEqual(wrong, []);
});

Deno.test("messagesOf: the first column of the table", () => {
  const text = "## A\n\n| `no` | x |\n\n## Trouble\n\nx\n\n| It says | So |\n| --- | --- |\n" +
    "| `a … b`, `c` (log) | `d` |\n\n## B\n\n| `no` | x |\n";
  assert.deepEqual(messagesOf(text), ["a … b", "c"]);
});

/** Everything that the programs can print; texts that the code concatenates are in one piece. */
async function readSources(): Promise<string> {
  const texts = [await readDocument("deploy/install.sh")];
  const read = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
      if (isDirectory) await read(join(folder, name));
      else if (name.endsWith(".ts")) texts.push(await readDocument(join(folder, name)));
    }
  };
  for (const folder of ["lib", "client", "certs"]) await read(folder);
  return texts.join("\n").replace(/["'`] \+\s*["'`]/g, "");
}

Deno.test("docs/guide.md: every message in the table of troubles is one that the programs print", async () => {
  const sources = await readSources();
  const messages = messagesOf(await readDocument("docs/guide.md"));
  assert(messages.length > 25, `only ${messages.length} messages were found`);
  const unknown = messages.filter((message) =>
    !message.split("…").every((part) => sources.includes(part.trim()))
  );
  assert.deepEqual(unknown, []);
});

Deno.test("README.md: links to every other document", async () => {
  const links = linksOf(await readDocument("README.md")).map((link) => link.split("#")[0]);
  const missing = (await documentNames())
    .filter((name) => name !== "README.md" && !links.includes(name));
  assert.deepEqual(missing, []);
});
