/** A file that is read from any position. */

export async function readFully(
  file: PositionedFile,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await file.read(bytes.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** A file that is read at offsets; it seeks only where the last read did not end there. */
export class PositionedFile {
  readonly #file: Deno.FsFile;
  #position = 0;

  /** @param file Nothing of it has been read yet. */
  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async size(): Promise<number> {
    return (await this.#file.stat()).size;
  }

  /** @returns How many bytes were read; 0 at the end of the file. */
  async read(buffer: Uint8Array, offset: number): Promise<number> {
    if (offset !== this.#position) {
      await this.#file.seek(offset, Deno.SeekMode.Start);
      this.#position = offset;
    }
    const length = await this.#file.read(buffer) ?? 0;
    this.#position += length;
    return length;
  }
}
