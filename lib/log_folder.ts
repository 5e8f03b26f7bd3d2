/** The log directory: made where it is missing, and safe to write to. */
import { relative } from "node:path";
import { LOG_DIR } from "./build_info.ts";
import { messageOf } from "./errors.ts";

/**
 * Makes the folder, for root alone, and checks that no link on its way leads out of the build's log
 * directory: the permission to write there must not become one to write elsewhere.
 *
 * @returns The folder's real path.
 * @throws {Error} One line that says what to do.
 */
export async function openLogFolder(folder: string): Promise<string> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`cannot make the log directory ${folder}: ${messageOf(error)}; run as root`);
  }
  const real = await Deno.realPath(folder);
  const base = await Deno.realPath(LOG_DIR).catch(() => LOG_DIR);
  const below = relative(base, real);
  if (base !== LOG_DIR || below === ".." || below.startsWith("../")) {
    throw new Error(`the log directory ${folder} is reached through a link; use the folder itself`);
  }
  const { mode } = await Deno.stat(real);
  if (mode !== null && (mode & 0o022) !== 0) {
    throw new Error(`others may write to the log directory ${folder}; run chmod 700 ${folder}`);
  }
  return real;
}
