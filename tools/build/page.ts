/**
 * Makes the page of `worker-client ui` from client/ui/page/. The build puts its files into the binary
 * beside the program, where they cost the other verbs nothing.
 */
import { build } from "esbuild";
import { basename, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const SOURCE = join(ROOT, "client", "ui", "page");

/** Browsers of the last two years. */
const TARGET = ["chrome120", "firefox140", "safari17.4"];

/** The texts of the page's files, by name. */
export async function makePage(): Promise<ReadonlyMap<string, string>> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [join(SOURCE, "main.tsx")],
    bundle: true,
    write: false,
    // Nothing is written there: it tells scripts from style sheets.
    outdir: "page",
    format: "esm",
    platform: "browser",
    target: TARGET,
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "inline",
    logLevel: "warning",
  });
  return new Map([
    ["index.html", await Deno.readTextFile(join(SOURCE, "index.html"))],
    ...outputFiles.map(({ path, text }) => [basename(path), text] as const),
  ]);
}
