import { strict as assert } from "node:assert";
import { join } from "node:path";
import { completionScript, SHELLS } from "../../client/command_line/completion.ts";
import { describeProgram } from "../../client/program.ts";
import { referenceText } from "../../tools/reference.ts";

const FILE = join(import.meta.dirname ?? ".", "..", "..", "docs", "reference.md");

Deno.test("docs/reference.md: is what the program's definitions make; deno task reference", async () => {
  assert.equal(await Deno.readTextFile(FILE), referenceText());
});

/** What bash offers for the words so far; the last one is being written. */
async function complete(...words: string[]): Promise<string[]> {
  const script = completionScript("bash", describeProgram());
  const { success, stdout } = await new Deno.Command("bash", {
    args: [
      "--norc",
      "-c",
      // In place of the program: what it would say of two jobs.
      `worker-client() { printf '%s\\n' backup 0123abcd - 4567cdef; }\n${script}\n` +
      'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _worker_client; printf "%s\\n" "${COMPREPLY[@]}"',
      "bash",
      "worker-client",
      ...words,
    ],
    stdin: "null",
  }).output();
  assert(success);
  return new TextDecoder().decode(stdout).split("\n").filter((word) => word !== "");
}

Deno.test("completionScript: bash completes verbs, options of the verb, and jobs", async () => {
  assert.deepEqual(await complete("st"), ["start", "stop", "stats", "stream"]);
  assert.deepEqual(await complete("stop", "--gr"), ["--grace"]);
  assert.deepEqual(await complete("--server", "x:1", "query", "--js"), ["--json"]);
  assert.deepEqual(await complete("stream", ""), ["backup", "0123abcd", "4567cdef"]);
  assert.deepEqual(await complete("signal", "HUP", "back"), ["backup"]);
});

Deno.test("completionScript: bash completes contexts, also the last of several", async () => {
  // The stand-in's names serve as contexts.
  assert.deepEqual(await complete("list", "--context", "back"), ["backup"]);
  assert.deepEqual(await complete("--context", "=", "back"), ["backup"]);
  assert.deepEqual(await complete("list", "--context", "lab,back"), ["lab,backup"]);
  assert.deepEqual(await complete("context", "use", "back"), ["backup"]);
  assert.deepEqual(await complete("context", "re"), ["remove"]);
  assert.deepEqual(await complete("query", "--all-con"), []);
  assert.deepEqual(await complete("list", "--all-con"), ["--all-contexts"]);
});

Deno.test("completionScript: nothing is offered where there is nothing to offer", async () => {
  assert.deepEqual(await complete("nonsense-"), []);
  assert.deepEqual(await complete("list", "x"), []);
  // Whatever follows the program belongs to it, and files are the shell's own matter.
  assert.deepEqual(await complete("start", "/bin/l"), []);
});

Deno.test("completionScript: every shell's script names every verb and option", () => {
  const program = describeProgram();
  for (const shell of SHELLS) {
    const script = completionScript(shell, program);
    for (const verb of program.commands) {
      assert(script.includes(verb.name()), `${shell}: ${verb.name()}`);
      for (const { long } of verb.options.filter(({ hidden }) => !hidden)) {
        assert(script.includes(`${long}`.slice(2)), `${shell}: ${verb.name()} ${long}`);
      }
    }
  }
});
