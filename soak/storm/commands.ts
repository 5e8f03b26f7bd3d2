/** Compiled clients that are killed, and started again where they were. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../../tests/support/binaries.ts";
import { assertCounted } from "../../tests/support/load.ts";
import type { Ledger } from "./ledger.ts";

/** Exit statuses of `worker-client` where it could not connect; `wait` has one for all its failures. */
const NO_CONNECTION = 3;
const OWN_FAILURE = 125;

/** A storm has failed: no further command is run. */
export class BrokenOff extends Error {}

/** Processes of `worker-client` that may be killed at any time. */
export class Commands {
  readonly #environment: Record<string, string>;
  readonly #running = new Set<Deno.ChildProcess>();
  readonly #killed = new WeakSet<Deno.ChildProcess>();
  /** How many gave up because of the connection. */
  gaveUp = 0;
  #isBrokenOff = false;

  /** @param environment What tells them where the server is and who calls. */
  constructor(environment: Record<string, string>) {
    this.#environment = environment;
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
    const isCut = code === NO_CONNECTION || code === OWN_FAILURE && /connect/.test(stderr);
    if (!isCut) return { code, stderr };
    this.gaveUp++;
    return undefined;
  }
}

/** Starts a job by `worker-client start`, and waits for it by `worker-client wait`. */
export async function startAndWait(commands: Commands, ledger: Ledger): Promise<void> {
  const job = ledger.newJob({ mayRunLong: false });
  const { name = "", args = [], idempotencyKey = "" } = ledger.request(job);
  const isolation = job.isIsolated ? ["--env", "A=b", "--own-processes"] : [];
  const key = ["--idempotency-key", idempotencyKey];
  const id = await untilDone(
    commands,
    ["start", "--quiet", ...key, ...isolation, name, ...args],
    0,
  );
  ledger.accept(id.trim(), job);
  await untilDone(commands, ["wait", id.trim()], job.exitCode);
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
