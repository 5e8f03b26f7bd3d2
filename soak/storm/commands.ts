/** Compiled clients that are killed, and started again where they were. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../../tests/support/binaries.ts";
import { assertCounted } from "../../tests/support/load.ts";
import type { Ledger } from "./ledger.ts";
import type { Watch } from "./watch.ts";

/** Exit status of `worker-client` where it could not connect. */
const NO_CONNECTION = 3;

/** Exit status of `wait` for each failure of its own: all others are its job's. */
const OWN_FAILURE = 125;

/** A storm has failed: no further command is run. */
export class BrokenOff extends Error {}

/** Processes of `worker-client` that may be killed at any time. */
export class Commands {
  readonly #environment: Record<string, string>;
  readonly #up: () => Promise<void>;
  readonly #running = new Set<Deno.ChildProcess>();
  readonly #killed = new WeakSet<Deno.ChildProcess>();
  /** How many gave up because of the connection. */
  gaveUp = 0;
  #isBrokenOff = false;

  /**
   * @param environment What tells them where the server is and who calls.
   * @param up Resolves when the server is there.
   */
  constructor(environment: Record<string, string>, up: () => Promise<void>) {
    this.#environment = environment;
    this.#up = up;
  }

  /** Those that run, by their number in the order of their start. */
  get running(): readonly Deno.ChildProcess[] {
    return [...this.#running];
  }

  /** Kills one; returns whether it was still there. */
  kill(child: Deno.ChildProcess): boolean {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended, and only its output is not read yet.
      return false;
    }
    this.#killed.add(child);
    return true;
  }

  /** Kills all, and runs no other. */
  breakOff(): void {
    this.#isBrokenOff = true;
    for (const child of this.#running) this.kill(child);
  }

  /**
   * Runs `worker-client ARGS` to its end.
   *
   * @param onOutput Takes each part of its standard output as it comes.
   * @returns Its exit status; undefined where it was killed or gave up, and is to be run again.
   */
  async run(
    args: readonly string[],
    onOutput: (bytes: Uint8Array) => void,
  ): Promise<{ code: number; stderr: string } | undefined> {
    if (this.#isBrokenOff) throw new BrokenOff("the storm was broken off");
    const child = new Deno.Command(join(BIN_DIR, "worker-client"), {
      args: [...args],
      env: this.#environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#running.add(child);
    const reading = new Response(child.stderr).text();
    for await (const bytes of child.stdout) onOutput(bytes);
    const [{ code, signal }, stderr] = await Promise.all([child.status, reading]);
    this.#running.delete(child);
    if (this.#killed.has(child) && signal === "SIGKILL") return undefined;
    if (!hasGivenUp(args, code, stderr)) return { code, stderr };
    this.gaveUp++;
    await this.#up();
    return undefined;
  }
}

/** Whether a command that ended so gave up because of the connection. Pure. */
export function hasGivenUp(args: readonly string[], code: number, stderr: string): boolean {
  return args[0] === "wait"
    ? code === OWN_FAILURE && /connect/.test(stderr)
    : code === NO_CONNECTION;
}

/** Starts a job by `worker-client start`, and waits for it by `worker-client wait`. */
export async function startAndWait(
  { commands, ledger, watch }: { commands: Commands; ledger: Ledger; watch: Watch },
): Promise<void> {
  const job = ledger.newJob({ mayRunLong: false });
  const { name = "", args = [], idempotencyKey = "" } = ledger.request(job);
  const isolation = job.isIsolated ? ["--env", "A=b", "--own-processes"] : [];
  const key = ["--idempotency-key", idempotencyKey];
  const start = ["start", "--quiet", ...key, ...isolation, name, ...args];
  const printed = await watch.inTime(
    `the command that starts ${job.key}`,
    untilDone(commands, start, 0),
  );
  const id = printed.trim();
  ledger.accept(id, job);
  const waiting = untilDone(commands, ["wait", id], job.exitCode);
  await watch.inTime(`the command that waits for job ${id}, ${job.key}`, waiting);
}

/** Runs a command until one ends by itself, as it should; returns what that one printed. */
async function untilDone(
  commands: Commands,
  args: readonly string[],
  expectedCode: number,
): Promise<string> {
  for (;;) {
    const decoder = new TextDecoder();
    let output = "";
    const ended = await commands.run(args, (bytes) => output += decoder.decode(bytes));
    if (ended === undefined) continue;
    assert.equal(ended.code, expectedCode, `${args.slice(0, 2).join(" ")}: ${ended.stderr}`);
    return output;
  }
}

/** Follows a job that counts by `worker-client stream`; whoever is killed is continued by the next. */
export class Follower {
  readonly #commands: Commands;
  readonly #id: string;
  #text = "";
  #bytes = 0;

  /** @param id Of a job that counts as {@linkcode assertCounted} expects. */
  constructor(commands: Commands, id: string) {
    this.#commands = commands;
    this.#id = id;
  }

  /** Follows to the job's end; returns how many bytes have come, each once. */
  async run(): Promise<number> {
    const decoder = new TextDecoder();
    const take = (bytes: Uint8Array) => {
      this.#bytes += bytes.length;
      this.#text += decoder.decode(bytes, { stream: true });
    };
    for (;;) {
      const args = ["stream", "--retry-for", "1m", "--offset", `${this.#bytes}`, this.#id];
      const ended = await this.#commands.run(args, take);
      if (ended === undefined) continue;
      assert.equal(ended.code, 0, ended.stderr);
      assertCounted(this.#text);
      return this.#bytes;
    }
  }
}
