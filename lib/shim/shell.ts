/** Runs scripts with /bin/sh: the only program that the server may run. */
import { Turns } from "../../common/turns.ts";

/**
 * The PATH of scripts and jobs: the host's usual folders, independent of the server's environment.
 */
export const PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Scripts that run at once: each is a process, and to start it blocks the server for a millisecond or
 * two. More of them would only make each take longer.
 */
export const MAX_SCRIPTS = 8;

/** A script that takes longer waits for the kernel: for a disk that is stuck, say. */
const SCRIPT_TIMEOUT_MS = 30_000;

/** Processor time of a script; the kernel ends one that takes more. */
const SCRIPT_PROCESSOR_SECONDS = 30;

/** Where a script hangs, others go on after its time-out. */
const turns = new Turns(MAX_SCRIPTS, SCRIPT_TIMEOUT_MS);

/** A script has taken too long, and is not waited for any more. */
export class ScriptTimeoutError extends Error {}

/**
 * Runs a one-shot script and returns what it prints.
 *
 * @param script The script's text, one of {@linkcode scripts}.
 * @param args Its arguments, from `$1` on.
 * @param options `who`: whom it is for. Where more scripts are asked for than may run at once, each of
 * those has its turn. The server's own work unless given. `timeoutMs`: half a minute unless given.
 * @throws {ScriptTimeoutError} When it takes too long: it is not waited for any more (what hangs in the
 * kernel does not end by a signal).
 * @throws When the shell cannot be started, or ends with another status than 0.
 */
export async function runScript(
  script: string,
  args: readonly string[] = [],
  { who = "", timeoutMs = SCRIPT_TIMEOUT_MS }: { who?: string; timeoutMs?: number } = {},
): Promise<string> {
  using _turn = await turns.take(who);
  return await runScriptNow(script, args, { timeoutMs });
}

/**
 * The same for a caller with turns of its own.
 *
 * @param options `input`: what the script reads from its standard input; nothing unless given.
 */
export async function runScriptNow(
  script: string,
  args: readonly string[],
  { timeoutMs, input }: { timeoutMs: number; input?: string },
): Promise<string> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(new ScriptTimeoutError(`a script took longer than ${timeoutMs / 1000} seconds`)),
    timeoutMs,
  );
  try {
    const output = outputOf(script, args, input);
    const { success, code, stdout } = await Promise.race([output, late.promise]);
    if (!success) throw new Error(`a script failed with status ${code}`);
    return new TextDecoder().decode(stdout);
  } finally {
    clearTimeout(timer);
  }
}

async function outputOf(
  script: string,
  args: readonly string[],
  input: string | undefined,
): Promise<Deno.CommandOutput> {
  const env = { PATH: PROGRAM_PATH };
  if (input === undefined) return await shell(script, args, env).output();
  const child = shell(script, args, env, "piped").spawn();
  const [output] = await Promise.all([child.output(), write(child.stdin, input)]);
  return output;
}

/** Who does not read it all has its reasons, and tells them by its status. */
async function write(stdin: WritableStream<Uint8Array>, input: string): Promise<void> {
  const writer = stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
}

const PRELUDE = `trap '' HUP INT QUIT\nulimit -t ${SCRIPT_PROCESSOR_SECONDS}\n`;

/**
 * A /bin/sh that runs a one-shot script. It ignores the signals that a terminal sends to the server
 * and all its children (Ctrl-C, say): what the server has begun is not cut short. A session of its own
 * would do the same, but `output()` makes none, and `spawn()` costs a millisecond more.
 */
export function shell(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin: "null" | "piped" = "null",
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-c", `${PRELUDE}${script}`, "job-worker", ...args],
    ...OPTIONS,
    env,
    stdin,
  });
}

/**
 * A /bin/sh that reads commands from its standard input until that is closed. It is to be spawned,
 * and then has a session of its own, which the signals of the server's terminal do not reach.
 */
export function listeningShell(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-s", ...args],
    ...OPTIONS,
    env,
    stdin: "piped",
    detached: true,
  });
}

const OPTIONS = {
  clearEnv: true,
  cwd: "/",
  stdout: "piped",
  stderr: "null",
} as const;

/** Quotes a text as one word of a shell, which expands to exactly this text. It must not contain NUL. */
export function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Removes comment lines from a script's text: process lists show the whole text. */
export function stripComments(script: string): string {
  return script.replace(/^\s*#.*\n/gm, "");
}
