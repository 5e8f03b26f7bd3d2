/**
 * Bounds the size of a job's output on disk. The launcher of the job holds its file open, so the file can be
 * neither renamed nor truncated: the blocks at its start are freed in place (fallocate(2),
 * FALLOC_FL_PUNCH_HOLE), and every byte keeps its offset.
 */
import { join } from "node:path";
import { isDiskFull, messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { openRegular } from "../regular_file.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** The start of a file, which is to be freed. */
export interface Cut {
  file: string;
  /** Bytes from the beginning. */
  length: number;
}

/** Filesystems free whole blocks; this is a multiple of every usual size. */
const BLOCK_BYTES = 4096;

/** Output is cut once it is above the bound by this part of it: so cuts are rare and cheap. */
const STEP_SHARE = 8;

/**
 * Decides where the output should begin.
 *
 * @param size Bytes written so far.
 * @param firstOffset The offset of the first byte that is kept now.
 * @param maxBytes The bound. This many bytes or more are kept.
 * @returns The new first offset, a multiple of the block size; undefined while nothing is to be cut.
 */
export function cutOffset(size: number, firstOffset: number, maxBytes: number): number | undefined {
  if (size - firstOffset <= maxBytes + Math.ceil(maxBytes / STEP_SHARE)) return undefined;
  return Math.floor((size - maxBytes) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Files that are open for it at once. */
const MAX_OPEN = 64;

/** Frees the starts of files; what cannot be freed is logged, and tried again with the next cut. */
export async function freeHeads(cuts: readonly Cut[]): Promise<void> {
  for (let first = 0; first < cuts.length; first += MAX_OPEN) {
    for (const file of await punch(cuts.slice(first, first + MAX_OPEN))) {
      log.error("cannot free the start of an output file", { file });
    }
  }
}

/**
 * Checks that the filesystem can free the start of a file.
 *
 * @param folder A folder of the filesystem; a file is made in it and removed again.
 * @throws {Error} One line that says what to do.
 */
export async function requireHolePunching(folder: string): Promise<void> {
  const file = join(folder, "hole-test");
  try {
    await Deno.writeFile(file, new Uint8Array(2 * BLOCK_BYTES), { mode: 0o600 });
    if ((await punch([{ file, length: BLOCK_BYTES }])).length === 0) return;
  } catch (error) {
    // On a full disk the server still has to start: records are read and jobs removed by it.
    if (!isDiskFull(error)) throw error;
    log.warn("the disk of the log directory is full", { folder });
    return;
  } finally {
    await Deno.remove(file).catch(() => {});
  }
  const [, missing] = /^missing (fallocate.*)$/m.exec(await runScript(scripts.probe)) ?? [];
  if (missing !== undefined) throw new Error(`a program is missing on this host: ${missing}`);
  throw new Error(
    `the filesystem of ${folder} cannot free the start of a file, so output cannot be limited there; ` +
      "use ext4, XFS, Btrfs or tmpfs, or turn the limit off with --max-output max",
  );
}

/**
 * Not by the files' names: behind those a job may have put a link to another file.
 *
 * @returns The files for which that failed.
 */
async function punch(cuts: readonly Cut[]): Promise<string[]> {
  await using opened = new AsyncDisposableStack();
  const failed: string[] = [];
  const names = new Map<string, string>();
  const args: string[] = [];
  for (const { file, length } of cuts) {
    try {
      const { path } = opened.use(await openRegular(file, "change"));
      names.set(path, file);
      args.push(String(length), path);
    } catch (error) {
      failed.push(`${file}: ${messageOf(error)}`);
    }
  }
  if (args.length === 0) return failed;
  const lines = (await runScript(scripts.punch, args)).split("\n").filter((line) => line !== "");
  return [...failed, ...lines.map((line) => names.get(line) ?? line)];
}
