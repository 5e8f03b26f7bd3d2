/** The shell that reads counters: a real one. Control groups are faked by plain folders. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { CounterShell } from "../../lib/executor/counter_shell.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { inTime, until } from "../support/wait.ts";

/** Long enough for every test. */
const LONG_MS = 60_000;

/** Counts the processes that are started until it is disposed of, and keeps them. */
class Spawned implements Disposable {
  readonly #spawn = Deno.Command.prototype.spawn;
  readonly processes: Deno.ChildProcess[] = [];

  constructor() {
    const [spawn, processes] = [this.#spawn, this.processes];
    Deno.Command.prototype.spawn = function (this: Deno.Command) {
      const child = spawn.call(this);
      processes.push(child);
      return child;
    };
  }

  /** Waits until one has ended, and returns the signal that ended it, or null; undefined where it was not started. */
  async ended(index: number): Promise<Deno.Signal | null | undefined> {
    return (await inTime("the shell to end", Promise.resolve(this.processes[index]?.status)))
      ?.signal;
  }

  [Symbol.dispose](): void {
    Deno.Command.prototype.spawn = this.#spawn;
  }
}

Deno.test("CounterShell: one process answers every question, however long the answer", async () => {
  using spawned = new Spawned();
  await using groups = await FakeGroups.make();
  const long = Array.from({ length: 3000 }, (_, index) => `line ${index}\n`).join("");
  const group = await groups.group("it's one", { "cpu.stat": "usage_usec 5\n", "io.stat": long });
  const [cpu, io, absent] = ["cpu.stat", "io.stat", "absent"].map((name) => join(group, name));
  const shell = new CounterShell({ timeoutMs: LONG_MS, idleTimeoutMs: LONG_MS });
  const answer = `file ${cpu}\nusage_usec 5\nend\nfile ${absent}\nend\n`;
  for (let time = 0; time < 3; time++) {
    assert.equal(await shell.read([cpu!, absent!]), `${answer}ended\n`);
  }
  assert.equal(await shell.read([io!]), `file ${io}\n${long}end\nended\n`);
  assert.equal(await shell.read([]), "ended\n");
  assert.equal(spawned.processes.length, 1);
  await shell.close();
  assert.notEqual(await spawned.ended(0), undefined);
});

Deno.test("CounterShell: one that was killed is told, and the next question has another", async () => {
  using spawned = new Spawned();
  const shell = new CounterShell({ timeoutMs: LONG_MS, idleTimeoutMs: LONG_MS });
  await shell.read([]);
  spawned.processes[0]?.kill("SIGKILL");
  // Until the end is seen, a question may still be put to the one that is gone.
  await until(
    "another",
    () => shell.read([]).then(() => spawned.processes.length > 1, () => false),
  );
  await shell.close();
});

Deno.test("CounterShell: one that hangs is killed and not waited for; one that is not asked exits", async () => {
  using spawned = new Spawned();
  await using groups = await FakeGroups.make();
  const file = join(await groups.group("job"), "io.stat");
  await new Deno.Command("mkfifo", { args: [file] }).output();
  {
    const shell = new CounterShell({ timeoutMs: 50, idleTimeoutMs: LONG_MS });
    // Who reads the pipe waits for as long as it is open here.
    using _pipe = await Deno.open(file, { read: true, write: true });
    await assert.rejects(shell.read([file]), /longer than 0.05 s/);
    assert.equal(await spawned.ended(0), "SIGKILL");
    await shell.close();
  }
  const shell = new CounterShell({ timeoutMs: LONG_MS, idleTimeoutMs: 1 });
  await shell.read([]);
  assert.notEqual(await spawned.ended(1), undefined);
  await shell.close();
});
