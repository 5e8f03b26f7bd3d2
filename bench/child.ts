/** Programs that benchmarks run. */

/** How a program is run. */
export interface Options {
  readonly env?: Record<string, string>;
  /** The file that its standard output goes to. */
  readonly stdout?: string;
}

/** Runs a program to its end. @throws {Error} It failed; the message has what it said. */
export async function runChild(
  program: string,
  args: readonly string[],
  { env = {}, stdout }: Options = {},
): Promise<string> {
  // The shell becomes the program at once, and its redirection costs no copy.
  const [command, rest] = stdout === undefined
    ? [program, args]
    : ["/bin/sh", ["-c", 'file=$1; shift; exec "$@" >"$file"', "sh", stdout, program, ...args]];
  const output = await new Deno.Command(command, {
    args: [...rest],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (output.success) return decoder.decode(output.stdout);
  const said = decoder.decode(output.stderr).trim();
  throw new Error(`${program} ${args.join(" ")} failed with status ${output.code}: ${said}`);
}
