/**
 * The page itself. tools/build/main.ts has put its files into the binary beside the program; they are read
 * when somebody asks for them.
 */
import { join } from "node:path";

/** What a GET finds, by path: a file's name and type. */
const FILES: ReadonlyMap<string, readonly [name: string, type: string]> = new Map([
  ["/", ["index.html", "text/html; charset=utf-8"]],
  ["/main.js", ["main.js", "text/javascript; charset=utf-8"]],
  ["/main.css", ["main.css", "text/css; charset=utf-8"]],
]);

/** Whether there is something at this path. */
export function isAsset(path: string): boolean {
  return FILES.has(path);
}

/** What is at this path; undefined: nothing. */
export async function readAsset(path: string): Promise<{ type: string; text: string } | undefined> {
  const file = FILES.get(path);
  if (file === undefined) return undefined;
  const [name, type] = file;
  return { type, text: await Deno.readTextFile(join(import.meta.dirname ?? ".", name)) };
}
