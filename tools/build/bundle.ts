/** Makes one file of each program and all that it imports. */
import { build, type BuildOptions, type Metafile } from "esbuild";
import { resolve } from "node:path";
import { embeddedProtos } from "./embedded_protos.ts";
import type { BinaryName } from "./permissions.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** Libraries in the bundle are CommonJS and ask for Node's modules by `require`. */
export const BANNER =
  'import { createRequire as $createRequire } from "node:module"; const require = $createRequire(import.meta.url);';

const ENTRY_POINTS: Readonly<Record<BinaryName, string>> = {
  "worker-server": "server.ts",
  "worker-client": "client.ts",
  "worker-certs": "certs/main.ts",
};

/** A program in one piece. */
export interface Bundle {
  readonly code: string;
  /** The folders of the packages that are in it, from the repository. */
  readonly packages: readonly string[];
}

/**
 * Bundles one of our programs.
 *
 * @param logDir The log directory that is fixed in it.
 */
export function bundleProgram(name: BinaryName, logDir: string): Promise<Bundle> {
  return bundleFile(ENTRY_POINTS[name], {
    define: {
      BUILD_LOG_DIR: JSON.stringify(logDir),
      // Nothing lies beside a bundle; what packages would read from there the plugin gives them.
      __dirname: '""',
    },
    plugins: name === "worker-client" ? [] : [embeddedProtos(ROOT)],
  });
}

/**
 * Bundles a program.
 *
 * @param entryPoint Its file, as from the repository's folder.
 */
export async function bundleFile(
  entryPoint: string,
  options: Pick<BuildOptions, "define" | "plugins"> = {},
): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entryPoint],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    banner: { js: BANNER },
    logLevel: "warning",
    ...options,
  });
  return { code: outputFiles[0]?.text ?? "", packages: packagesIn(metafile) };
}

/** The folders of the packages that a bundle was made of, in the order of their names. */
export function packagesIn({ inputs }: Metafile): string[] {
  const folders = Object.keys(inputs).flatMap((path) =>
    /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? []
  );
  return [...new Set(folders)].sort();
}
