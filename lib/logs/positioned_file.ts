/** A file that is read at offsets; it seeks only where the last read did not end there. */
export class PositionedFile {
  readonly #file: Deno.FsFile;
  #position = 0;

  /** @param file Open for reading, at its beginning. */
  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** The size now, in bytes. */
  async size(): Promise<number> {
    return (await this.#file.stat()).size;
  }

  /**
   * Reads once, up to the length of the buffer.
   *
   * @returns How many bytes were read; 0 at the end of the file.
   */
  async read(buffer: Uint8Array, offset: number): Promise<number> {
    if (offset !== this.#position) {
      await this.#file.seek(offset, Deno.SeekMode.Start);
      this.#position = offset;
    }
    const length = await this.#file.read(buffer) ?? 0;
    this.#position += length;
    return length;
  }

  /** Reads so many bytes; fewer only where the file ends before them. */
  async readFully(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const count = await this.read(bytes.subarray(filled), offset + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }
}
