/**
 * Reads files that a job's user may write (lib/regular_file.ts): small ones, which have one name, and are never read
 * to an end that may not come.
 */
import type { Stats } from "node:fs";
import { ForgedFileError, openRegular, requireOneName, tooLarge } from "../../regular_file.ts";

/** The server's own user, which on a cluster with jobs of several users is root. */
const ROOT_ID = 0;

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
  try {
    return await read(path, rules);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function read(path: string, rules: NodeFileRules): Promise<NodeFile> {
  await using file = await openRegular(path);
  const status = await file.status();
  requireAllowed(status, rules);
  const nowMs = Date.now();
  const writtenAtMs = status.mtimeMs >= 0 ? Math.min(status.mtimeMs, nowMs) : nowMs;
  // It may grow while it is read: what is beyond the bound is left out.
  const text = new TextDecoder().decode(await file.readFully(0, rules.maxBytes));
  return { text, writtenAtMs };
}

function requireAllowed(status: Stats, { maxBytes, owner }: NodeFileRules): void {
  requireOneName(status);
  const { uid, size } = status;
  if (owner !== undefined && uid !== owner && uid !== ROOT_ID) {
    throw new ForgedFileError("a file of another user's");
  }
  if (size > maxBytes) throw tooLarge(maxBytes);
}
