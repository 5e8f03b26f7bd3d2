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

/** How a script has ended. */
export interface ScriptAnswer {
  /** 128 and the number of the signal where one has ended it. */
  readonly status: number;
  /** What it has printed. */
  readonly text: string;
}

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
  const { status, text } = await answerOfScript(script, args, { timeoutMs });
  if (status !== 0) throw new Error(`a script failed with status ${status}`);
  return text;
}

/**
 * The same for a caller with turns of its own, to whom the status says something.
 *
 * @param options `input`: what the script reads from its standard input; nothing unless given. `isEnough`: whether
 * what it has printed so far is all that it is run for: it is sent SIGTERM then.
 */
export async function answerOfScript(
  script: string,
  args: readonly string[],
  { timeoutMs, input, isEnough }: {
    timeoutMs: number;
    input?: string;
    isEnough?: (text: string) => boolean;
  },
): Promise<ScriptAnswer> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(new ScriptTimeoutError(`a script took longer than ${timeoutMs / 1000} seconds`)),
    timeoutMs,
  );
  try {
    const output = answerOf(script, args, { input, isEnough });
    return await Promise.race([output, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function answerOf(
  script: string,
  args: readonly string[],
  { input, isEnough = () => false }: {
    input: string | undefined;
    isEnough: ((text: string) => boolean) | undefined;
  },
): Promise<ScriptAnswer> {
  const env = { PATH: PROGRAM_PATH };
  if (input === undefined) {
    const { code, stdout } = await shell(script, args, env).output();
    return { status: code, text: new TextDecoder().decode(stdout) };
  }
  const child = shell(script, args, env, "piped").spawn();
  const [text, { code }] = await Promise.all([
    textUntil(child, isEnough),
    child.status,
    write(child.stdin, input),
  ]);
  return { status: code, text };
}

/** Reads what a process prints, and ends the process when that is enough. */
async function textUntil(
  child: Deno.ChildProcess,
  isEnough: (text: string) => boolean,
): Promise<string> {
  let text = "";
  let isEnded = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (isEnded || !isEnough(text)) continue;
    isEnded = true;
    end(child);
  }
  return text;
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended by itself.
  }
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
