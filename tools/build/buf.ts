/** Where the protocol buffer compiler is: a program of its own, inside of an npm package. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const CACHE_DIR = new URL("../../build/buf-cache", import.meta.url).pathname;

const require = createRequire(import.meta.url);

/**
 * Runs `buf`. The package that names it brings the program of this platform along as a package, so
 * that nothing has to be installed by a script.
 *
 * @returns What it printed on either output.
 */
export async function runBuf(
  args: readonly string[],
  options: { cwd?: string } = {},
): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(findBuf(), {
    args: [...args],
    // It keeps a cache, in the home unless told where.
    env: { BUF_CACHE_DIR: CACHE_DIR },
    stdin: "null",
    ...options,
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** @throws {Error} Where there is no such program for this platform. */
function findBuf(): string {
  const architecture = Deno.build.arch === "aarch64" ? "aarch64" : "x64";
  const name = `@bufbuild/buf-${Deno.build.os}-${architecture}`;
  try {
    const { resolve } = createRequire(require.resolve("@bufbuild/buf/package.json"));
    return join(dirname(resolve(`${name}/package.json`)), "bin", "buf");
  } catch (error) {
    throw new Error(`there is no package ${name}; build on Linux, on x86-64 or aarch64`, {
      cause: error,
    });
  }
}
