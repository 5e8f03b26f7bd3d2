/**
 * Makes the binaries: bundles each program into one file and compiles that with its permissions; and
 * the client's library, as one ES module beside them.
 *
 * Usage: deno task build [--target TRIPLE] [--out DIR] [--log-dir DIR]
 */
import { stop as stopBundler } from "esbuild";
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { BANNER, bundleProgram } from "./bundle.ts";
import { COMPILE_FLAGS, compileProgram } from "./compile.ts";
import { findRuntime, realSources, type Runtime } from "./denort.ts";
import { makeLibrary } from "./library.ts";
import { DEFAULT_LOG_DIR, normalizeLogDir } from "../log_directory.ts";
import { makePage } from "./page.ts";
import { type BinaryName, compileFlags, permissionsOf } from "./permissions.ts";
import { type BuildTarget, targetOf } from "./targets.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const WORK_DIR = join(ROOT, "build");

const CHECKSUM_FILE = "SHA256SUMS";

/** Where binaries go, and what is fixed in them. */
interface BuildOptions {
  readonly target: BuildTarget;
  readonly outDir: string;
  readonly logDir: string;
}

/** One binary to make. */
interface Product {
  /** With the suffix that the system wants. */
  readonly name: string;
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
  const { target } = options;
  const products = await Promise.all(target.binaries.map((name) => prepare(name, options)));
  const stale: Product[] = [];
  for (const product of products) {
    if (await isUpToDate(product)) report(`${product.name} is up to date`);
    else stale.push(product);
  }
  if (stale.length > 0) {
    const runtime = await findRuntime(realSources(WORK_DIR, target, report));
    await Promise.all(stale.map((product) => compile(product, runtime)));
  }
  const library = await makeLibrary(ROOT, BANNER);
  for (const { name, text } of library) await Deno.writeTextFile(join(options.outDir, name), text);
  await writeChecksums(options.outDir, [...products, ...library].map(({ name }) => name));
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

async function prepare(name: BinaryName, options: BuildOptions): Promise<Product> {
  const { code } = await bundleProgram(name, options.logDir);
  const files = name === "worker-client" ? (await makePage()).files : new Map<string, string>();
  const flags = compileFlags(permissionsOf(name, options.logDir));
  const inputs = [
    code,
    [...files],
    COMPILE_FLAGS,
    flags,
    Deno.version.deno,
    options.target.triple,
    await describeGiven(),
  ];
  const inputHash = createHash("sha256").update(JSON.stringify(inputs)).digest("hex");
  const file = name + options.target.suffix;
  return { name: file, out: join(options.outDir, file), code, files, flags, inputHash };
}

/** The runtime that DENORT_BIN names: another file under the same name makes other binaries. */
async function describeGiven(): Promise<unknown> {
  const path = Deno.env.get("DENORT_BIN");
  return path ? { path, ...await describe(path).catch(() => undefined) } : undefined;
}

async function compile(product: Product, runtime: Runtime): Promise<void> {
  const startedMs = performance.now();
  const folder = await Deno.makeTempDir({ dir: WORK_DIR, prefix: "compile-" });
  try {
    const code = join(folder, `${product.name}.js`);
    const files = new Map([...product.files, [basename(code), product.code]]);
    for (const [name, text] of files) {
      await Deno.writeTextFile(join(folder, name), text);
      // The binary says when its source was written: the same source makes the same bytes.
      await Deno.utime(join(folder, name), 0, 0);
    }
    const includes = [...product.files.keys()].flatMap((name) => ["--include", name]);
    await compileProgram(code, {
      out: product.out,
      flags: [...product.flags, ...includes],
      runtime,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const { size, modifiedMs } = await describe(product.out);
  const stamp: Stamp = { inputHash: product.inputHash, size, modifiedMs };
  await Deno.writeTextFile(stampFile(product), JSON.stringify(stamp));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  report(`${product.name} made in ${seconds} s: ${product.out} (${Math.round(size / 1e6)} MB)`);
}

/** A binary is current when the same inputs made it and the file has not changed since. */
async function isUpToDate(product: Product): Promise<boolean> {
  try {
    const stamp = JSON.parse(await Deno.readTextFile(stampFile(product))) as Stamp;
    const { size, modifiedMs } = await describe(product.out);
    return stamp.inputHash === product.inputHash && stamp.size === size &&
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

function stampFile(product: Product): string {
  const key = createHash("sha256").update(product.out).digest("hex").slice(0, 16);
  return join(WORK_DIR, "stamps", `${key}.json`);
}

function readOptions(args: string[]): BuildOptions {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: "string" },
      out: { type: "string" },
      "log-dir": { type: "string" },
    },
  });
  const target = targetOf(values.target ?? Deno.build.target);
  // Those of this host are in bin itself, where everything looks for them.
  const place = target.triple === Deno.build.target ? "bin" : join("bin", target.triple);
  const logDir = values["log-dir"] ?? Deno.env.get("JOB_WORKER_BUILD_LOG_DIR") ?? DEFAULT_LOG_DIR;
  return {
    target,
    outDir: resolve(values.out ?? join(ROOT, place)),
    logDir: normalizeLogDir(logDir),
  };
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
