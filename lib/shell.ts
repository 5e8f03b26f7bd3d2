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
  env: Record<string, string>,
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-c", script, "job-worker", ...args],
    clearEnv: true,
    env,
    cwd: "/",
    detached: true,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
}

/** A script's text without its comment lines, which every process list would show. */
export function stripComments(script: string): string {
  return script.replace(/^\s*#.*\n/gm, "");
}
