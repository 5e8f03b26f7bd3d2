/**
 * Makes the page of `worker-client ui` from client/ui/page/. The build puts its files into the binary
 * beside the program, where they cost the other verbs nothing.
 */
import { build } from "esbuild";
import { basename, join, resolve } from "node:path";
import { packagesIn } from "./bundle.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const SOURCE = join(ROOT, "client", "ui", "page");

/** Browsers of the last two years. */
const TARGET = ["chrome120", "firefox140", "safari17.4"];

/** The page, in one piece for each kind of file. */
export interface Page {
  /** The texts of its files, by name. */
  readonly files: ReadonlyMap<string, string>;
  /** The folders of the packages that are in it, from the repository. */
  readonly packages: readonly string[];
}

/** Makes the page's files. */
export async function makePage(): Promise<Page> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [join(SOURCE, "main.tsx")],
    bundle: true,
    write: false,
    metafile: true,
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
  const files = new Map([
    ["index.html", await Deno.readTextFile(join(SOURCE, "index.html"))],
    ...outputFiles.map(({ path, text }) => [basename(path), text] as const),
  ]);
  return { files, packages: packagesIn(metafile) };
}
