/**
 * The files of the page. tools/build/main.ts puts them into the binary; they are read on request.
 */
import { join } from "node:path";

/** The files by path, with name and content type. */
const FILES: ReadonlyMap<string, readonly [name: string, type: string]> = new Map([
  ["/", ["index.html", "text/html; charset=utf-8"]],
  ["/main.js", ["main.js", "text/javascript; charset=utf-8"]],
  ["/main.css", ["main.css", "text/css; charset=utf-8"]],
]);

/** Whether there is a file at this path. */
export function isAsset(path: string): boolean {
  return FILES.has(path);
}

/** The file at this path; undefined: there is none. */
export async function readAsset(path: string): Promise<{ type: string; text: string } | undefined> {
  const file = FILES.get(path);
  if (file === undefined) return undefined;
  const [name, type] = file;
  return { type, text: await Deno.readTextFile(join(import.meta.dirname ?? ".", name)) };
}
