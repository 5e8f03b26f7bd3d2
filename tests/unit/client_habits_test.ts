/** What hands write that are used to other tools. */
import { strict as assert } from "node:assert";
import { fromHabits, hintOf } from "../../client/command_line/habits.ts";
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

Deno.test("hintOf: every verb that it names exists", async () => {
  for (const name of ["pause", "describe", "tail", "restart", "get", "submit", "info", "log"]) {
    const verb = /Did you mean (\w+)/.exec(hintOf(name) ?? "")?.[1];
    if (verb !== undefined) assert.equal((await runClient([verb, "--help"])).status, 0, name);
  }
  assert.equal(hintOf("nonsense"), undefined);
  assert.equal(hintOf("toString"), undefined);
});
