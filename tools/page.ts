/**
 * Makes the page of `worker-client ui` from client/ui/page/: one script and one style sheet in
 * build/gen/page/ (never committed), which the client's bundle takes in as texts.
 */
import { build } from "esbuild";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname ?? ".", "..");
const OUT = join(ROOT, "build", "gen", "page");

/** Browsers of the last two years. */
const TARGET = ["chrome120", "firefox140", "safari17.4"];

/** Bundles the page. */
export async function makePage(): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["client/ui/page/main.tsx"],
    bundle: true,
    outdir: OUT,
    format: "esm",
    platform: "browser",
    target: TARGET,
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "inline",
    logLevel: "warning",
  });
}
