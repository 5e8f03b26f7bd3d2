/**
 * Makes the binaries: bundles each program into one file and compiles that with its permissions; and
 * the client's library, as one ES module beside them.
 *
 * Usage: deno task build [--out DIR] [--log-dir DIR]
 */
import { build as bundle, stop as stopBundler } from "esbuild";
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { clientParts } from "./client_parts.ts";
import { COMPILE_FLAGS, compileProgram } from "./compile.ts";
import { findRuntime, realSources, type Runtime } from "./denort.ts";
import { embeddedProtos } from "./embedded_protos.ts";
import { makeLibrary } from "./library.ts";
import { DEFAULT_LOG_DIR, normalizeLogDir } from "../log_directory.ts";
import { makePage } from "./page.ts";
import { type BinaryName, compileFlags, permissionsOf } from "./permissions.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const WORK_DIR = join(ROOT, "build");

const CHECKSUM_FILE = "SHA256SUMS";

/** Libraries in the bundle are CommonJS and ask for Node's modules by `require`. */
const BANNER =
  'import { createRequire as $createRequire } from "node:module"; const require = $createRequire(import.meta.url);';

const ENTRY_POINTS: Readonly<Record<BinaryName, string>> = {
  "worker-server": "server.ts",
  "worker-client": "client.ts",
  "worker-certs": "certs/main.ts",
};

/** Where binaries go, and what is fixed in them. */
interface BuildOptions {
  readonly outDir: string;
  readonly logDir: string;
}

/** One binary to make. */
interface Target {
  readonly name: BinaryName;
  readonly out: string;
  readonly code: string;
  /** Texts that lie beside the code, by name; read at run time. */
  readonly files: ReadonlyMap<string, string>;
  readonly flags: readonly string[];
  /** Changes when anything that goes into the binary changes. */
  readonly inputHash: string;
}

/** What is remembered of a binary that was made, to know it again. */
interface Stamp {
  readonly inputHash: string;
  readonly size: number;
  readonly modifiedMs: number;
}

function report(line: string): void {
  console.error(`build: ${line}`);
}

async function buildAll(options: BuildOptions): Promise<void> {
  await Deno.mkdir(options.outDir, { recursive: true });
  await Deno.mkdir(join(WORK_DIR, "stamps"), { recursive: true });
  const names = Object.keys(ENTRY_POINTS) as BinaryName[];
  const targets = await Promise.all(names.map((name) => prepareTarget(name, options)));
  const stale: Target[] = [];
  for (const target of targets) {
    if (await isUpToDate(target)) report(`${target.name} is up to date`);
    else stale.push(target);
  }
  if (stale.length > 0) {
    const runtime = await findRuntime(realSources(WORK_DIR, report));
    await Promise.all(stale.map((target) => compile(target, runtime)));
  }
  const library = await makeLibrary(ROOT, BANNER);
  for (const { name, text } of library) await Deno.writeTextFile(join(options.outDir, name), text);
  await writeChecksums(options.outDir, [...targets, ...library].map(({ name }) => name));
}

/** Writes what `sha256sum --check` takes, beside the files. */
async function writeChecksums(folder: string, names: readonly string[]): Promise<void> {
  const lines = await Promise.all(names.map(async (name) => {
    const bytes = await Deno.readFile(join(folder, name));
    const digest = createHash("sha256").update(bytes).digest("hex");
    return `${digest}  ${name}\n`;
  }));
  await Deno.writeTextFile(join(folder, CHECKSUM_FILE), lines.join(""));
}

async function prepareTarget(name: BinaryName, options: BuildOptions): Promise<Target> {
  const { outputFiles } = await bundle({
    absWorkingDir: ROOT,
    entryPoints: [ENTRY_POINTS[name]],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "esnext",
    banner: { js: BANNER },
    define: {
      BUILD_LOG_DIR: JSON.stringify(options.logDir),
      // Nothing lies beside a bundle; what packages would read from there the plugin gives them.
      __dirname: '""',
    },
    plugins: name === "worker-client" ? [clientParts()] : [embeddedProtos(ROOT)],
    logLevel: "warning",
  });
  const code = outputFiles[0]?.text ?? "";
  const files = name === "worker-client" ? await makePage() : new Map<string, string>();
  const flags = compileFlags(permissionsOf(name, options.logDir));
  const inputs = [
    code,
    [...files],
    COMPILE_FLAGS,
    flags,
    Deno.version.deno,
    Deno.build.target,
    Deno.env.get("DENORT_BIN"),
  ];
  const inputHash = createHash("sha256").update(JSON.stringify(inputs)).digest("hex");
  return { name, out: join(options.outDir, name), code, files, flags, inputHash };
}

async function compile(target: Target, runtime: Runtime): Promise<void> {
  const startedMs = performance.now();
  const folder = await Deno.makeTempDir({ dir: WORK_DIR, prefix: "compile-" });
  try {
    const code = join(folder, `${target.name}.js`);
    const files = new Map([...target.files, [basename(code), target.code]]);
    for (const [name, text] of files) {
      await Deno.writeTextFile(join(folder, name), text);
      // The binary says when its source was written: the same source makes the same bytes.
      await Deno.utime(join(folder, name), 0, 0);
    }
    const includes = [...target.files.keys()].flatMap((name) => ["--include", name]);
    await compileProgram(code, { out: target.out, flags: [...target.flags, ...includes], runtime });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const { size, modifiedMs } = await describe(target.out);
  const stamp: Stamp = { inputHash: target.inputHash, size, modifiedMs };
  await Deno.writeTextFile(stampFile(target), JSON.stringify(stamp));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  report(`${target.name} made in ${seconds} s: ${target.out} (${Math.round(size / 1e6)} MB)`);
}

/** A binary is current when the same inputs made it and the file has not changed since. */
async function isUpToDate(target: Target): Promise<boolean> {
  try {
    const stamp = JSON.parse(await Deno.readTextFile(stampFile(target))) as Stamp;
    const { size, modifiedMs } = await describe(target.out);
    return stamp.inputHash === target.inputHash && stamp.size === size &&
      stamp.modifiedMs === modifiedMs;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return false;
    throw error;
  }
}

async function describe(path: string): Promise<{ size: number; modifiedMs: number }> {
  const info = await Deno.stat(path);
  return { size: info.size, modifiedMs: info.mtime?.getTime() ?? 0 };
}

function stampFile(target: Target): string {
  const key = createHash("sha256").update(target.out).digest("hex").slice(0, 16);
  return join(WORK_DIR, "stamps", `${key}.json`);
}

function readOptions(args: string[]): BuildOptions {
  const { values } = parseArgs({
    args,
    options: { out: { type: "string" }, "log-dir": { type: "string" } },
  });
  const logDir = values["log-dir"] ?? Deno.env.get("JOB_WORKER_BUILD_LOG_DIR") ?? DEFAULT_LOG_DIR;
  return { outDir: resolve(values.out ?? join(ROOT, "bin")), logDir: normalizeLogDir(logDir) };
}

if (import.meta.main) {
  try {
    await buildAll(readOptions(Deno.args));
  } catch (error) {
    report(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  } finally {
    await stopBundler();
  }
}
