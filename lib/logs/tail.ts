/** Where the last lines of an output begin. */
import type { RegularFile } from "../regular_file.ts";

/** The most that is read at once. */
const BLOCK_BYTES = 64 * 1024;

/** The most that is searched: what one call costs must not grow with the output. */
export const MAX_SEARCH_BYTES = 64 * 1024 ** 2;

const NEWLINE = 10;

/**
 * Finds the offset at which the last lines begin, reading backwards from the end. A last line without
 * its newline counts as one.
 *
 * @param count How many lines.
 * @param range `begin`: the first offset to look at; `end`: the size of the output, in bytes.
 * @param options `signal`: ends the search early; its result then means nothing. `maxBytes`: how far
 * back it goes; tests shorten it.
 * @returns An offset from `begin` to `end`. Where there are not so many lines, that of the first one; of
 * the first whole one where the search ends before `begin`, or where it ends if there is none.
 */
export async function offsetOfLastLines(
  file: Pick<RegularFile, "readFully">,
  count: number,
  { begin, end }: { begin: number; end: number },
  { signal, maxBytes = MAX_SEARCH_BYTES }: { signal?: AbortSignal; maxBytes?: number } = {},
): Promise<number> {
  if (count === 0) return end;
  const searchBegin = Math.max(begin, end - maxBytes);
  let firstLine = searchBegin;
  let newlines = 0;
  let blockEnd = end;
  while (blockEnd > searchBegin && signal?.aborted !== true) {
    const blockBegin = Math.max(blockEnd - BLOCK_BYTES, searchBegin);
    const bytes = await file.readFully(blockBegin, blockEnd - blockBegin);
    let index = bytes.length;
    while (index > 0 && (index = bytes.lastIndexOf(NEWLINE, index - 1)) >= 0) {
      // The newline that ends the last line does not begin another.
      if (blockBegin + index === end - 1) continue;
      firstLine = blockBegin + index + 1;
      if (++newlines === count) return firstLine;
    }
    blockEnd = blockBegin;
  }
  return searchBegin === begin ? begin : firstLine;
}
