import { strict as assert } from "node:assert";
import { join } from "node:path";
import { completionScript, SHELLS } from "../../client/command_line/completion.ts";
import { describeProgram, JOB_KINDS } from "../../client/program.ts";
import { referenceText } from "../../tools/reference.ts";

const FILE = join(import.meta.dirname ?? ".", "..", "..", "docs", "reference.md");

Deno.test("docs/reference.md: is what the program's definitions make; deno task reference", async () => {
  assert.equal(await Deno.readTextFile(FILE), referenceText());
});

/** In place of the program: what it would say of three jobs, and of contexts. */
const STAND_IN = `worker-client() {
  case $* in
    context*) printf '%s\\n' backup lab ;;
    *--all*) printf '%s\\t%s\\n' web 89abcdef backup 0123abcd - 4567cdef ;;
    *exited*) printf '%s\\t%s\\n' backup 0123abcd - 4567cdef ;;
    *) printf '%s\\t%s\\n' web 89abcdef ;;
  esac
}`;

/** What bash offers for the words so far; the last one is being written. */
async function complete(...words: string[]): Promise<string[]> {
  const script = completionScript("bash", describeProgram(), JOB_KINDS);
  const { success, stdout } = await new Deno.Command("bash", {
    args: [
      "--norc",
      "-c",
      `${STAND_IN}\n${script}\n` +
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
  assert.deepEqual(await complete("ls", "--sta"), ["--state"]);
  assert.deepEqual(await complete("insp"), ["inspect"]);
});

Deno.test("completionScript: bash offers each job once, and only jobs that the verb can work with", async () => {
  assert.deepEqual(await complete("stream", ""), ["web", "backup", "4567cdef"]);
  assert.deepEqual(await complete("query", "0"), ["0123abcd"]);
  assert.deepEqual(await complete("query", "lab/"), ["lab/web", "lab/backup", "lab/4567cdef"]);
  for (const verb of ["stop", "kill", "wait"]) assert.deepEqual(await complete(verb, ""), ["web"]);
  for (const verb of ["remove", "rm"]) {
    assert.deepEqual(await complete(verb, ""), ["backup", "4567cdef"]);
  }
  assert.deepEqual(await complete("signal", "HUP", "w"), ["web"]);
});

Deno.test("completionScript: bash completes states and signals", async () => {
  assert.deepEqual(await complete("signal", "H"), ["HUP"]);
  assert.deepEqual(await complete("kill", "-s", "US"), ["USR1", "USR2"]);
  assert.deepEqual(await complete("run", "--stop-signal", "US"), ["USR1", "USR2"]);
  assert.deepEqual(await complete("run", "-s"), []);
  assert.deepEqual(await complete("list", "--state", "o"), ["oom"]);
  assert.deepEqual(await complete("ps", "--state", "=", "ti"), ["timeout"]);
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
    const script = completionScript(shell, program, JOB_KINDS);
    for (const verb of program.commands) {
      assert(script.includes(verb.name()), `${shell}: ${verb.name()}`);
      for (const { long } of verb.options.filter(({ hidden }) => !hidden)) {
        assert(script.includes(`${long}`.slice(2)), `${shell}: ${verb.name()} ${long}`);
      }
    }
  }
});
