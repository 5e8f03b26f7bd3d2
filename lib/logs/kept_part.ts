/** Finds where the kept part of an output begins, without its record. */
import { openRegular } from "../regular_file.ts";

/** The unit in which filesystems give out space, or a part of it. */
const BLOCK_BYTES = 4096;

/**
 * The offset of the first byte that was not rotated away: freed blocks at the beginning of a file take no
 * space and read as zeros.
 *
 * @param path The output file.
 * @throws {Deno.errors.NotFound} When the file is gone.
 */
export async function findKeptPart(path: string): Promise<number> {
  await using file = await openRegular(path);
  const { size, blocks } = await file.status();
  const freed = size - blocks * 512;
  if (freed < BLOCK_BYTES) return 0;
  const buffer = new Uint8Array(BLOCK_BYTES);
  // A filesystem also counts blocks of its own: then the kept part begins a little later.
  for (let offset = Math.floor(freed / BLOCK_BYTES) * BLOCK_BYTES; offset < size;) {
    const length = await file.read(buffer, offset);
    if (length === 0) break;
    if (buffer.subarray(0, length).some((byte) => byte !== 0)) return offset;
    offset += length;
  }
  return size;
}
