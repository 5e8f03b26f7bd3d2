/**
 * Reading and writing files. Files that belong together are all written, or none. Keys have their
 * mode from the first byte, and nothing is replaced unless the caller says so.
 */
import { basename, dirname, join } from "node:path";
import { type PemBlock, scanPem } from "../common/pem.ts";
import { CertsError, reasonOf } from "./errors.ts";

/** A file that is to be written. */
export interface FileToWrite {
  readonly path: string;
  readonly content: string;
  /** {@link KEY_MODE} or {@link CERTIFICATE_MODE}; the process's umask may take more away. */
  readonly mode: number;
}

/** Private keys: the owner alone. */
export const KEY_MODE = 0o600;

/** Certificates are public. */
export const CERTIFICATE_MODE = 0o644;

/** The folder with the CA's key: the owner alone. */
const FOLDER_MODE = 0o700;

/** No certificate or key is this long; a wrong path must not fill the memory. */
const READ_LIMIT_BYTES = 1024 * 1024;

/**
 * Reads a file.
 *
 * @throws {CertsError} when it is not there, cannot be read, or is longer than 1 MiB
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const info = await file.stat();
    if (info.isDirectory) throw new CertsError("failure", `cannot read ${path}: it is a folder`);
    const buffer = new Uint8Array(READ_LIMIT_BYTES + 1);
    let length = 0;
    for (let read: number | null = 0; read !== null && length < buffer.length; length += read) {
      read = await file.read(buffer.subarray(length));
      if (read === null) break;
    }
    if (length > READ_LIMIT_BYTES) {
      throw new CertsError("failure", `cannot read ${path}: it is longer than any certificate`);
    }
    return buffer.slice(0, length);
  } catch (error) {
    if (error instanceof CertsError) throw error;
    throw new CertsError("failure", `cannot read ${path}: ${reasonOf(error)}`);
  }
}

/**
 * Splits the content of a file into its PEM blocks.
 *
 * @throws {CertsError} the content is cut off
 */
export function parsePem(bytes: Uint8Array, path: string): readonly PemBlock[] {
  const { blocks, missingEnd } = scanPem(new TextDecoder().decode(bytes));
  if (missingEnd === undefined) return blocks;
  throw new CertsError("failure", `cannot read ${path}: it is cut off, "${missingEnd}" is missing`);
}

/**
 * Reads the PEM blocks of a file; none where it is not a PEM text.
 *
 * @throws {CertsError} as {@link readBytes}, and when the file is cut off
 */
export async function readPem(path: string): Promise<readonly PemBlock[]> {
  return parsePem(await readBytes(path), path);
}

/** Those of some paths that exist, whatever they are, dangling links included. */
export async function existingOf(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map((path) => lookUp(path)));
  return paths.filter((_, index) => found[index] !== null);
}

/**
 * Makes a folder for keys, readable by its owner alone. One that is there stays as it is.
 *
 * @throws {CertsError} when it cannot be made, or something else has that name
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: FOLDER_MODE });
  } catch (error) {
    throw new CertsError("failure", `cannot make the folder ${path}: ${reasonOf(error)}`);
  }
}

/**
 * Writes files that belong together. Their content is complete and on the disk under other names
 * before the first gets its own; if one of them cannot have it, the others are taken back.
 *
 * @param options `overwrite`: replace what is there; otherwise that is an error
 * @throws {CertsError} when a file exists or cannot be written; then nothing has changed
 */
export async function writeTogether(
  files: readonly FileToWrite[],
  options: { overwrite: boolean },
): Promise<void> {
  const suffix = crypto.getRandomValues(new Uint8Array(6)).toHex();
  const placed: Placement[] = [];
  try {
    for (const file of files) await stage(file, `${suffix}.new`);
    for (const file of files) placed.push(await place(file, { suffix, ...options }));
  } catch (error) {
    for (const placement of placed.reverse()) await takeBack(placement);
    for (const file of files) await removeIfThere(beside(file.path, `${suffix}.new`));
    throw error;
  }
  for (const { backup } of placed) if (backup !== null) await Deno.remove(backup);
}

/** A file that has its name now, and where the one it replaced has gone. */
interface Placement {
  readonly path: string;
  readonly backup: string | null;
}

async function stage(file: FileToWrite, suffix: string): Promise<void> {
  try {
    using staged = await Deno.open(beside(file.path, suffix), {
      write: true,
      createNew: true,
      mode: file.mode,
    });
    const bytes = new TextEncoder().encode(file.content);
    for (let written = 0; written < bytes.length;) {
      written += await staged.write(bytes.subarray(written));
    }
    await staged.sync();
  } catch (error) {
    throw new CertsError("failure", `cannot write ${file.path}: ${reasonOf(error)}`);
  }
}

async function place(
  file: FileToWrite,
  options: { suffix: string; overwrite: boolean },
): Promise<Placement> {
  const { path } = file;
  const backup = options.overwrite ? await setAside(path, `${options.suffix}.old`) : null;
  try {
    // Creating the name tells a file that came up meanwhile from ours; a rename would replace it.
    if (backup === null) {
      (await Deno.open(path, { write: true, createNew: true, mode: file.mode })).close();
    }
    try {
      await Deno.rename(beside(path, `${options.suffix}.new`), path);
    } catch (error) {
      await takeBack({ path, backup });
      throw error;
    }
    return { path, backup };
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new CertsError("failure", `cannot write ${path}: it exists, use --force to replace it`);
    }
    throw new CertsError("failure", `cannot write ${path}: ${reasonOf(error)}`);
  }
}

/** Gives the file at a path another name, if there is one. */
async function setAside(path: string, suffix: string): Promise<string | null> {
  const info = await lookUp(path);
  if (info === null) return null;
  if (info.isDirectory) throw new CertsError("failure", `cannot replace ${path}: it is a folder`);
  const backup = beside(path, suffix);
  try {
    await Deno.rename(path, backup);
  } catch (error) {
    throw new CertsError("failure", `cannot replace ${path}: ${reasonOf(error)}`);
  }
  return backup;
}

async function takeBack({ path, backup }: Placement): Promise<void> {
  if (backup === null) await removeIfThere(path);
  else await Deno.rename(backup, path);
}

async function lookUp(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new CertsError("failure", `cannot look at ${path}: ${reasonOf(error)}`);
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A hidden name in the same folder, so that a rename stays on one file system. */
function beside(path: string, suffix: string): string {
  return join(dirname(path), `.${basename(path)}.${suffix}`);
}
