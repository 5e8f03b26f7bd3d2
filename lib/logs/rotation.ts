/**
 * Bounds a job's output on disk. The job holds its file open for append, so the file can be neither
 * renamed nor cut short: its head is freed in place (fallocate(2), FALLOC_FL_PUNCH_HOLE), and every
 * byte keeps its offset.
 */
import { join } from "node:path";
import { isDiskFull } from "../errors.ts";
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** The head of a file that is to be freed. */
export interface Cut {
  file: string;
  /** Bytes from the beginning. */
  length: number;
}

/** Filesystems free whole blocks; this is a multiple of every usual size. */
const BLOCK_BYTES = 4096;

/** Cutting waits for so large a part of the bound, so that it costs next to nothing. */
const STEP_SHARE = 8;

/**
 * Where the output should begin.
 *
 * @param size Bytes written so far.
 * @param firstOffset Where it begins now.
 * @param maxBytes The bound.
 * @returns Undefined while there is too little to cut.
 */
export function cutOffset(size: number, firstOffset: number, maxBytes: number): number | undefined {
  if (size - firstOffset <= maxBytes + Math.ceil(maxBytes / STEP_SHARE)) return undefined;
  return Math.floor((size - maxBytes) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Frees the heads of files; what cannot be freed is logged and tried again with the next cut. */
export async function freeHeads(cuts: readonly Cut[]): Promise<void> {
  if (cuts.length === 0) return;
  const failed = await punch(cuts);
  for (const file of failed) log.error("cannot free the head of an output file", { file });
}

/**
 * Checks that the filesystem can free the head of a file.
 *
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
  throw new Error(
    `the filesystem of ${folder} cannot free the head of a file, so output cannot be bounded there; ` +
      "use ext4, XFS, Btrfs or tmpfs, or give the bound up with --max-output max",
  );
}

async function punch(cuts: readonly Cut[]): Promise<string[]> {
  const args = cuts.flatMap(({ file, length }) => [String(length), file]);
  return (await runScript(scripts.punch, args)).split("\n").filter((line) => line !== "");
}
