/** The documents of this repository, for tests over them. */
import { join } from "node:path";

/** The repository. */
export const ROOT = join(import.meta.dirname ?? ".", "../..");

/** README.md, its neighbours, and all below docs/. */
export async function documentNames(): Promise<string[]> {
  const names: string[] = [];
  for (const folder of ["", "docs/"]) {
    for await (const { name } of Deno.readDir(join(ROOT, folder))) {
      if (name.endsWith(".md")) names.push(folder + name);
    }
  }
  return names.sort();
}

/** The text of a document, by its path in the repository. */
export async function readDocument(name: string): Promise<string> {
  return await Deno.readTextFile(join(ROOT, name));
}
