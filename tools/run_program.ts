/** Programs that tools and tests need done. Imports nothing, since a tool does that installs the rest. */

/** Runs a program to its end. @throws With what it wrote to its standard error. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<void> {
  const output = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    ...options,
  }).output();
  if (output.success) return;
  const text = new TextDecoder().decode(output.stderr).trim();
  throw new Error(`Cannot run ${program}: it ended with status ${output.code}: ${text}`);
}
