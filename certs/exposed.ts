/** Whether other users can read the keys in a CA's folder, or replace its files. */
import { dirname, join } from "node:path";
import { isChangeable, isOpen } from "../common/file_modes.ts";

/** Files with a private key in them: NAME.key, and bundles. */
const KEY_FILE = /\.(key|pem)$/;

/**
 * Looks at the folder, at those above it, and at the keys in it.
 *
 * @returns one line for each problem, with the command that mends it
 */
export async function findExposed(dir: string): Promise<string[]> {
  const problems: string[] = [];
  for (const path of await keyFiles(dir)) {
    const info = await lookUp(path);
    if (info?.isFile !== true || !isOpen(info)) continue;
    problems.push(`other users may read or change ${path}: run chmod 600 ${path}`);
  }
  const folder = await Deno.realPath(dir);
  for (const path of [folder, ...foldersAbove(folder)]) {
    const info = await lookUp(path);
    if (info === undefined || !isChangeable(info)) continue;
    problems.push(`other users may change ${path}, and with it the CA: run chmod go-w ${path}`);
  }
  return problems;
}

async function keyFiles(dir: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(dir)).catch(() => []);
  return entries.filter(({ name }) => KEY_FILE.test(name)).map(({ name }) => join(dir, name))
    .sort();
}

async function lookUp(path: string): Promise<Deno.FileInfo | undefined> {
  return await Deno.stat(path).catch(() => undefined);
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}
