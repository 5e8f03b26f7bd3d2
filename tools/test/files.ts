/** Files of tests. */
import { join } from "node:path";
import { ROOT } from "./deno.ts";

/** Whether there is a file of this path, from the root of the repository. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(join(ROOT, path)).then(() => true, () => false);
}

/** The files of tests in a folder, from the root of the repository, sorted. */
export async function testFiles(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(join(ROOT, folder)));
  return entries.map(({ name }) => name).filter((name) => name.endsWith("_test.ts")).sort()
    .map((name) => `${folder}/${name}`);
}
