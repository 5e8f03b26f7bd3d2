/**
 * The least that the start of a job takes with what the server may do: groups that the runtime makes,
 * and shells that fork, enter them and become `setsid true`. No call, no certificate, no record, no
 * limit, no output, no exit status.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { LocalExecutor } from "../lib/executor/local.ts";
import { placementIn } from "../lib/executor/placement.ts";
import { DEFAULT_SETTINGS } from "../lib/model/settings.ts";

/** Enough to keep the processors busy. */
const SHELLS = 3 * navigator.hardwareConcurrency;

/** Takes jobs, a line each: the groups of one. */
const SCRIPT = `
while read -r groups; do
  (
    for group in $groups; do echo 0 >"$group/cgroup.procs"; done
    echo started
    exec setsid true </dev/null
  )
  echo ended
done`;

/** Starts `true` again and again. */
export class BareStarts implements AsyncDisposable {
  readonly #executor: LocalExecutor;
  readonly #shells: Shell[];
  readonly #idle: Shell[];
  readonly #queue: ((shell: Shell) => void)[] = [];
  readonly #ending = new Set<Promise<void>>();

  private constructor(executor: LocalExecutor) {
    this.#executor = executor;
    this.#shells = Array.from({ length: SHELLS }, () => new Shell());
    this.#idle = [...this.#shells];
  }

  /** Makes the groups' parents, with the executor's knowledge of this host, and starts the shells. */
  static async open(): Promise<BareStarts> {
    return new BareStarts(await LocalExecutor.open(`job-worker-bench-${Deno.pid}`));
  }

  /** Starts one; returns when it runs. */
  async start(): Promise<void> {
    const handle = this.#executor.plan(crypto.randomUUID(), {}, DEFAULT_SETTINGS);
    const { groups } = placementIn(handle)!;
    for (const group of groups) await Deno.mkdir(group);
    const shell = this.#idle.pop() ??
      await new Promise<Shell>((resolve) => this.#queue.push(resolve));
    shell.say(groups.join(" "));
    await shell.hear("started");
    const ending = this.#end(shell, groups).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #end(shell: Shell, groups: readonly string[]): Promise<void> {
    await shell.hear("ended");
    const next = this.#queue.shift();
    if (next === undefined) this.#idle.push(shell);
    else next(shell);
    for (const group of groups) await Deno.remove(group);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ending);
    await Promise.all(this.#shells.map((shell) => shell.close()));
    await this.#executor.close();
  }
}

/** One shell that runs the script. */
class Shell {
  readonly #process: ChildProcessByStdio<Writable, Readable, null> = spawn(
    "/bin/sh",
    ["-c", SCRIPT],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  readonly #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();

  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** @throws When it says something else, or is gone. */
  async hear(word: string): Promise<void> {
    const { value } = await this.#lines.next();
    if (value !== word) throw new Error(`A shell said ${value} in the place of ${word}`);
  }

  async close(): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.stdin.end();
    await gone;
  }
}
