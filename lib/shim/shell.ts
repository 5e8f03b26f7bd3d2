/** Runs scripts with /bin/sh: the only program that the server may run. */

/**
 * The PATH of scripts and jobs: the host's usual folders, independent of the server's environment.
 */
export const PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Runs a one-shot script and returns what it prints.
 *
 * @param script The script's text, one of {@linkcode scripts}.
 * @param args Its arguments, from `$1` on.
 * @throws When the shell cannot be started or ends with another status than 0.
 */
export async function runScript(script: string, args: readonly string[] = []): Promise<string> {
  const { success, code, stdout } = await shell(script, args, { PATH: PROGRAM_PATH }).output();
  if (!success) throw new Error(`a script failed with status ${code}`);
  return new TextDecoder().decode(stdout);
}

/**
 * A /bin/sh that runs a one-shot script. It ignores the signals that a terminal sends to the server
 * and all its children (Ctrl-C, say): what the server has begun is not cut short. A session of its own
 * would do the same, but `output()` makes none, and `spawn()` costs a millisecond more.
 */
export function shell(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-c", `trap '' HUP INT QUIT\n${script}`, "job-worker", ...args],
    ...OPTIONS,
    env,
    stdin: "null",
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
