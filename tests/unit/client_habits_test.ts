/** What hands write that are used to other tools. */
import { strict as assert } from "node:assert";
import { fromHabits, hintOf, optionHintOf } from "../../client/command_line/habits.ts";
import { slipOf } from "../../client/command_line/slips.ts";
import { runClient } from "../support/client_terminal.ts";

Deno.test("fromHabits: kill takes its signal as kill(1) does; other words stay as they are", () => {
  const cases: readonly (readonly [args: string[], read: string[]])[] = [
    [["kill", "-9", "web"], ["kill", "-s", "9", "web"]],
    [["kill", "-SIGHUP", "web", "api"], ["kill", "-s", "SIGHUP", "web", "api"]],
    [["kill", "-USR1", "web"], ["kill", "-s", "USR1", "web"]],
    [["kill", "-s", "HUP", "web"], ["kill", "-s", "HUP", "web"]],
    [["kill", "web", "-9"], ["kill", "web", "-9"]],
    [["run", "kill", "-9", "1"], ["run", "kill", "-9", "1"]],
    [["run", "tar", "-t"], ["run", "tar", "-t"]],
    [["run", "-i", "me.pem", "ls", "-it"], ["run", "-i", "me.pem", "ls", "-it"]],
    [["stop", "-it"], ["stop", "-it"]],
    [["ps", "--status=running"], ["ps", "--state=running"]],
    [["list", "--status", "lost", "-a"], ["list", "--state", "lost", "-a"]],
    [["run", "x", "--status"], ["run", "x", "--status"]],
  ];
  for (const [args, read] of cases) assert.deepEqual(fromHabits(args), read);
});

Deno.test("fromHabits: a terminal is refused, not read as an identity in the file t", async () => {
  for (const words of [["-it", "sh"], ["-ti", "sh"], ["-q", "-t", "sh"], ["--tty", "sh"]]) {
    assert.throws(() => fromHabits(["run", ...words]), /jobs have no terminal/);
  }
  // Lower numbers are exit codes of the job.
  assert.equal((await runClient(["run", "-it", "sh"])).status, 125);
});

Deno.test("fromHabits: habits are read behind the options of all verbs, too", async () => {
  for (const text of ["-i me.pem", "--identity=me.pem", "-i kill --server a:1"]) {
    const said = async (...words: string[]) => {
      const { status, notes } = await runClient([...text.split(" "), ...words]);
      return [status, notes.join("\n")] as const;
    };
    const [status, refusal] = await said("run", "-it", "sh");
    assert.equal(status, 125, text);
    assert.match(refusal, /jobs have no terminal/);
    // What is wrong then is the state, and the identity.
    assert.match((await said("ps", "--status", "x"))[1], /--state/);
    assert.match((await said("kill", "-9", "web"))[1], /Cannot read (me\.pem|kill)/);
  }
});

Deno.test("hintOf: every verb that it names exists", async () => {
  for (const name of ["pause", "describe", "tail", "restart", "get", "submit", "info", "log"]) {
    const verb = /Did you mean (\w+)/.exec(hintOf(name) ?? "")?.[1];
    if (verb !== undefined) assert.equal((await runClient([verb, "--help"])).status, 0, name);
  }
  for (const name of ["show", "current", "switch", "create", "delete"]) {
    const verb = /Did you mean (\w+)/.exec(hintOf(name, "context") ?? "")?.[1];
    assert.equal((await runClient(["context", verb ?? "", "--help"])).status, 0, name);
  }
  assert.equal(hintOf("pause", "context"), undefined);
  assert.equal(hintOf("nonsense"), undefined);
  assert.equal(hintOf("toString"), undefined);
});

Deno.test("optionHintOf: options of other tools are answered with what to write here", async () => {
  const cases: readonly (readonly [line: string[], status: number, note: string])[] = [
    [["run", "-w", "/tmp", "pwd"], 125, "There is no option -w: write -C DIR."],
    [["start", "--restart=always", "x"], 2, "There is no option --restart: a job runs once;"],
    [["rm", "-f", "x"], 2, 'There is no option -f: write "stop JOB" first if it runs,'],
    [["ps", "--filter", "status=running"], 2, "There is no option --filter: write --state STATE,"],
    [["stream", "-n", "5", "x"], 2, "There is no option -n: write --tail N."],
    [["stream", "--nonsense", "x"], 2, "Unknown option '--nonsense'."],
  ];
  for (const [line, status, note] of cases) {
    const { status: actual, notes } = await runClient(line);
    assert.equal(actual, status, line.join(" "));
    assert.equal(notes[0]?.slice(0, note.length), note);
  }
  assert.equal(optionHintOf("stop", "-f"), undefined);
});

Deno.test("slipOf: what to write in place of a shell's words; nothing for a mere mistake", () => {
  const cases: readonly (readonly [words: string[], hint: RegExp])[] = [
    [["ls -la /"], /words of their own, without quotes: ls -la \/$/],
    [["a && b"], /no shell unless you start one: sh -c 'a && b'$/],
    [["echo 'x' > y"], /sh -c 'echo '\\''x'\\'' > y'$/],
    [["FOO=1", "make"], /before the program: -e FOO=1$/],
    [["FOO=a b"], /without quotes: FOO=a b$/],
    [["cd", "/tmp"], /working directory of a job is -C \/tmp$/],
    [["cd"], /working directory of a job is -C$/],
    [["export", "A=1"], /"export" is built into shells: sh -c 'export A=1'$/],
  ];
  for (const [words, hint] of cases) assert.match(slipOf(words) ?? "", hint, words.join(" "));
  for (const words of [["lss", "-la"], ["/opt/x"], [], ["1=2"]]) {
    assert.equal(slipOf(words), undefined);
  }
});
