/** How programs are compiled: ours, and those that a benchmark sets beside them. */
import { basename, dirname } from "node:path";
import type { Runtime } from "./denort.ts";

/**
 * No configuration and no node_modules: either would be embedded, with everything in it. No code
 * cache: the runtime takes it from a file in /tmp, where anyone could put code for root to run.
 *
 * A small young generation (MiB): what streams leave behind lies outside of V8's heap, so with a large
 * one it waits for full collections, which took a third of the server's time.
 */
export const COMPILE_FLAGS = [
  "--quiet",
  "--no-config",
  "--node-modules-dir=none",
  "--no-remote",
  "--no-npm",
  "--no-code-cache",
  "--v8-flags=--max-semi-space-size=1",
];

/**
 * Makes a binary of a program that is one file.
 *
 * @param code The file, with an absolute path.
 * @param options Where the binary goes, and flags beside {@linkcode COMPILE_FLAGS}; files that they
 * include are named as from the program's folder.
 * @throws When it cannot be compiled; the message says why.
 */
export async function compileProgram(
  code: string,
  { out, flags, runtime }: { out: string; flags: readonly string[]; runtime: Runtime },
): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      ...COMPILE_FLAGS,
      `--target=${runtime.target}`,
      ...flags,
      "--output",
      out,
      code,
    ],
    cwd: dirname(code),
    env: runtime.kind === "file" ? { DENORT_BIN: runtime.path } : {},
    stdin: "null",
  }).output();
  if (success) return;
  throw new Error(`Cannot compile ${basename(out)}: ${new TextDecoder().decode(stderr).trim()}`);
}
