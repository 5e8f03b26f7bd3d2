/**
 * Reads files that a job's user may write. He can put anything in their place: a link to a file that only the
 * server may read, a pipe that nobody writes to, a device, more than fits into memory. So the file is opened
 * without waiting, looked at afterwards, and never read to an end that may not come. What was opened must be what
 * has the name: the runtime follows links before it opens a file, whatever O_NOFOLLOW says, where a program has
 * not all permissions (measured).
 */
import { constants, promises, type Stats } from "node:fs";

/** The server's own user, which on a cluster with jobs of several users is root. */
const ROOT_ID = 0;

/** A pipe without a writer would wait for one. */
const SAFELY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What {@linkcode readNodeFile} demands. */
export interface NodeFileRules {
  /** A file that is larger is not read. */
  readonly maxBytes: number;
  /** Who may own the file besides root; undefined: anyone. */
  readonly owner?: number | undefined;
}

/** What a file of a node's has. */
export interface NodeFile {
  readonly text: string;
  /** Milliseconds since 1970-01-01 UTC; never a time to come, which a file's owner may set. */
  readonly writtenAtMs: number;
}

/** Something is in a file's place that neither a launcher nor a server has put there. */
export class ForgedFileError extends Error {}

/**
 * Reads a file; opens it anew, which makes a network file system look at its server's copy.
 *
 * @returns undefined where there is none.
 * @throws {ForgedFileError} With what is in its place, such as "a symbolic link".
 */
export async function readNodeFile(
  path: string,
  rules: NodeFileRules,
): Promise<NodeFile | undefined> {
  const file = await openSafely(path);
  if (file === undefined) return undefined;
  try {
    const status = await file.stat();
    const problem = await problemOf(path, status) ?? contentProblemOf(status, rules);
    if (problem !== undefined) throw new ForgedFileError(problem);
    const nowMs = Date.now();
    const writtenAtMs = status.mtimeMs >= 0 ? Math.min(status.mtimeMs, nowMs) : nowMs;
    return { text: await textOf(file, rules.maxBytes), writtenAtMs };
  } finally {
    await file.close();
  }
}

/**
 * The size of a file in bytes, by opening it anew; 0 where there is none.
 *
 * @throws {ForgedFileError} Something else is in its place.
 */
export async function nodeFileSize(path: string): Promise<number> {
  const file = await openSafely(path);
  if (file === undefined) return 0;
  try {
    const status = await file.stat();
    const problem = await problemOf(path, status);
    if (problem !== undefined) throw new ForgedFileError(problem);
    return status.size;
  } finally {
    await file.close();
  }
}

async function openSafely(path: string): Promise<promises.FileHandle | undefined> {
  try {
    return await promises.open(path, SAFELY);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return undefined;
    // Links to what the kernel shows as files (/proc, /dev) are refused by the runtime.
    if (code === "ELOOP" || error instanceof Deno.errors.NotCapable) {
      throw new ForgedFileError("a symbolic link");
    }
    // Of a socket: it cannot be opened.
    if (code === "ENXIO") throw new ForgedFileError("no regular file");
    throw error;
  }
}

/**
 * Gives a file in a folder that a job may write into another content, at once: a node never reads half of it. No
 * link can be there that leads the writing elsewhere: it is made under a name that nobody knows beforehand.
 */
export async function replaceFile(
  path: string,
  text: string,
  { mode }: { readonly mode: number },
): Promise<void> {
  const next = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(next, text, { createNew: true, mode });
    // Whatever the server's umask is.
    await Deno.chmod(next, mode);
    await Deno.rename(next, path);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
}

/** @returns What is wrong with the file that was opened by a name; undefined: nothing. */
async function problemOf(path: string, opened: Stats): Promise<string | undefined> {
  const named = await promises.lstat(path);
  if (named.isSymbolicLink()) return "a symbolic link";
  if (!opened.isFile()) return "no regular file";
  // With one name, a file that has this name was not reached by another one.
  if (opened.nlink !== 1) return "a file with another name";
  const isSame = named.ino === opened.ino && named.dev === opened.dev;
  return isSame ? undefined : "a file that was just replaced";
}

function contentProblemOf(
  { uid, size }: Stats,
  { maxBytes, owner }: NodeFileRules,
): string | undefined {
  if (owner !== undefined && uid !== owner && uid !== ROOT_ID) return "a file of another user's";
  return size > maxBytes ? `a file of more than ${maxBytes} bytes` : undefined;
}

/** It may grow while it is read: what is beyond the bound is left out. */
async function textOf(file: promises.FileHandle, maxBytes: number): Promise<string> {
  const bytes = new Uint8Array(maxBytes);
  let filled = 0;
  while (filled < maxBytes) {
    const { bytesRead } = await file.read(bytes, filled, maxBytes - filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return new TextDecoder().decode(bytes.subarray(0, filled));
}

function codeOf(error: unknown): string | undefined {
  return (error as { readonly code?: string } | null)?.code;
}
