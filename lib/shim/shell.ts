/** Runs scripts by /bin/sh: the only program that the server may run. */

/**
 * Where programs are looked for, by the scripts and by jobs: the host's usual folders, whatever the
 * environment of the server is.
 */
export const PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Runs a one-shot script and returns what it prints.
 *
 * @param script The script's text; comments are dropped before it is handed over.
 * @param args Its arguments, `$1` and on.
 * @throws When the shell cannot be started or ends with another status than 0.
 */
export async function runScript(script: string, args: readonly string[] = []): Promise<string> {
  const { success, code, stdout } = await shell(script, args, { PATH: PROGRAM_PATH }).output();
  if (!success) throw new Error(`a script of the worker failed with status ${code}`);
  return new TextDecoder().decode(stdout);
}

/**
 * A /bin/sh that runs a script in a session of its own, so that a Ctrl-C at the server's terminal
 * reaches neither it nor what it starts.
 */
export function shell(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-c", script, "job-worker", ...args],
    ...OPTIONS,
    env,
    stdin: "null",
  });
}

/**
 * The same, but it reads what it shall do from its standard input, command after command, until that
 * is closed.
 */
export function listeningShell(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.Command {
  return new Deno.Command("/bin/sh", { args: ["-s", ...args], ...OPTIONS, env, stdin: "piped" });
}

const OPTIONS = {
  clearEnv: true,
  cwd: "/",
  detached: true,
  stdout: "piped",
  stderr: "null",
} as const;

/** A text as a shell's word that stands for just this text; it must not contain NUL. */
export function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A script's text without its comment lines, which every process list would show. */
export function stripComments(script: string): string {
  return script.replace(/^\s*#.*\n/gm, "");
}
