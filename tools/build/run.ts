/** The build as a program of its own, for those who need binaries and nothing of its code. */
import { join } from "node:path";

const BUILD = join(import.meta.dirname ?? ".", "main.ts");

/**
 * Builds the binaries where they are not up to date.
 *
 * @param out The folder that they go to.
 * @param options The log directory that is built in, and what the binaries are for: this host, and the
 * default one unless given.
 * @throws {Error} Where the build fails; it has said why on standard error.
 */
export async function runBuild(
  out: string,
  { logDir, target }: { logDir?: string; target?: string } = {},
): Promise<void> {
  const flags = [
    ...["--out", out],
    ...(logDir === undefined ? [] : ["--log-dir", logDir]),
    ...(target === undefined ? [] : ["--target", target]),
  ];
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", BUILD, ...flags],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("the binaries could not be built; see above");
}
