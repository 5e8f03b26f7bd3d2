/** Where the last lines of an output begin. */
import type { PositionedFile } from "./positioned_file.ts";

/** The most that is read at once. */
const BLOCK_BYTES = 64 * 1024;

const NEWLINE = 10;

/**
 * Finds the offset at which the last lines begin, reading backwards from the end. A last line without
 * its newline counts as one.
 *
 * @param count How many lines.
 * @param range `begin`: the first offset to look at; `end`: the size of the output, in bytes.
 * @returns An offset from `begin` to `end`; `begin` when there are not so many lines.
 */
export async function offsetOfLastLines(
  file: PositionedFile,
  count: number,
  { begin, end }: { begin: number; end: number },
): Promise<number> {
  if (count === 0) return end;
  let newlines = 0;
  let blockEnd = end;
  while (blockEnd > begin) {
    const blockBegin = Math.max(blockEnd - BLOCK_BYTES, begin);
    const bytes = await file.readFully(blockBegin, blockEnd - blockBegin);
    for (let index = bytes.length - 1; index >= 0; index--) {
      // The newline that ends the last line does not begin another.
      if (bytes[index] !== NEWLINE || blockBegin + index === end - 1) continue;
      if (++newlines === count) return blockBegin + index + 1;
    }
    blockEnd = blockBegin;
  }
  return begin;
}
