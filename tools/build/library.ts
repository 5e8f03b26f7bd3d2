/**
 * Makes of client/mod.ts one ES module with its types, for programs without this repository.
 *
 * The types are what TypeScript declares of the public files, one behind the other: all that they
 * name is in one of them, so that no import is left.
 */
import { build as bundle } from "esbuild";
import { join } from "node:path";
import ts from "typescript";

/** The files whose exports are public; client/mod.ts names what of them is. */
const PUBLIC_FILES = ["gap", "errors", "types", "output_stream", "job_worker_client"];

const HEAD =
  "// worker-client as a library: docs/library.md of its repository says how it is used.\n";

/** One file to write. */
export interface LibraryFile {
  readonly name: string;
  readonly text: string;
}

/**
 * Makes the module and its types.
 *
 * @param root The repository.
 * @param banner What stands before the code.
 */
export async function makeLibrary(root: string, banner: string): Promise<LibraryFile[]> {
  const { outputFiles } = await bundle({
    absWorkingDir: root,
    entryPoints: ["client/mod.ts"],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    // What Node 20 understands, too: `using` becomes calls.
    target: "es2022",
    banner: { js: `${HEAD}// @ts-self-types="./worker-client.d.ts"\n${banner}` },
    logLevel: "warning",
  });
  return [
    { name: "worker-client.js", text: outputFiles[0]?.text ?? "" },
    { name: "worker-client.d.ts", text: declare(root) },
  ];
}

function declare(root: string): string {
  const fileNames = PUBLIC_FILES.map((name) => join(root, "client", "api", `${name}.ts`));
  // Each file says its types itself, so that nothing that it imports has to be looked at.
  const program = ts.createProgram(fileNames, {
    target: ts.ScriptTarget.ESNext,
    lib: ["lib.esnext.d.ts"],
    types: [],
    allowImportingTsExtensions: true,
    declaration: true,
    emitDeclarationOnly: true,
    isolatedDeclarations: true,
    noResolve: true,
    noCheck: true,
  });
  const texts = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (name, text) => texts.set(name, text));
  const [problem] = diagnostics;
  if (problem !== undefined) {
    const text = ts.flattenDiagnosticMessageText(problem.messageText, " ");
    throw new Error(`Cannot declare the types of ${problem.file?.fileName}: ${text}`);
  }
  const parts = fileNames.map((name) => texts.get(name.replace(/\.ts$/, ".d.ts")) ?? "");
  return HEAD + parts.map(withoutImports).join("");
}

function withoutImports(text: string): string {
  return text.replace(/^import [^;]*;\n/gm, "").replace(/^export \{\};\n/gm, "");
}
