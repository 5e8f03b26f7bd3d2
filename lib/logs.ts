/**
 * The output of one job: a byte log on disk that the job writes by itself, with any number of readers
 * that share nothing but the file.
 */
import { GrowthSignal } from "./logs/growth.ts";
import { PositionedFile, readFully } from "./logs/positioned_file.ts";

/** The most that is read and handed on at once. */
export const CHUNK_BYTES = 64 * 1024;

/** Before a chunk's bytes there is so much room in their buffer, for whoever hands them on. */
export const HEADROOM_BYTES = 64;

/** A piece of output. */
export interface Chunk {
  /** Where in the output `bytes` begin. */
  offset: number;
  /** In a buffer that is the reader's alone. */
  bytes: Uint8Array<ArrayBuffer>;
  /** So many bytes right before `offset` were rotated away before this reader came to them. */
  gapBytes: number;
}

/** Which part of the output to read; at most one of the first three. */
export interface ReadRange {
  offset?: number;
  /** So many lines from the end. */
  tailLines?: number;
  /** So many bytes from the end. */
  tailBytes?: number;
  /** Go on while the job runs. */
  follow: boolean;
}

/** Whether a range begins somewhere that only the output's end says. */
export function isTail({ tailLines, tailBytes }: ReadRange): boolean {
  return tailLines !== undefined || tailBytes !== undefined;
}

/** The output of one job. */
export class OutputLog {
  readonly #path: string;
  readonly #growth: GrowthSignal;
  #firstOffset: number;
  #finished: boolean;

  /**
   * @param path The file that the job appends to.
   * @param options `firstOffset`: the first byte that was kept; `finished`: the job has ended.
   */
  constructor(path: string, options: { firstOffset: number; finished: boolean }) {
    this.#path = path;
    this.#firstOffset = options.firstOffset;
    this.#finished = options.finished;
    this.#growth = new GrowthSignal(path);
  }

  /** Bytes before this one are gone, or may go at any moment. */
  get firstOffset(): number {
    return this.#firstOffset;
  }

  /** Moves the beginning, before the bytes are cut off. */
  set firstOffset(offset: number) {
    this.#firstOffset = Math.max(this.#firstOffset, offset);
  }

  /** Says that the job has ended: nothing will be appended any more, and readers come to an end. */
  finish(): void {
    this.#finished = true;
    this.#growth.finish();
  }

  /**
   * Bytes written so far, and those that still take room on the disk.
   *
   * @throws {Deno.errors.NotFound} When the file is gone.
   */
  size(): { bytes: number; diskBytes: number } {
    const { size, blocks } = Deno.statSync(this.#path);
    return { bytes: size, diskBytes: (blocks ?? 0) * 512 };
  }

  /**
   * Reads a part of the output in order; of a tail it first says, with no bytes, where it begins, so
   * that a reader can come back to the same place. Ends when the job has ended and the last byte was
   * read, or without `follow` at what was there at the beginning.
   *
   * @param signal Ends the reading early, without an error.
   * @throws {Deno.errors.NotFound} When the file is gone.
   */
  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    using opened = await Deno.open(this.#path);
    const file = new PositionedFile(opened);
    const size = await file.size();
    let offset = await this.#startOffset(file, range, size);
    if (isTail(range)) yield { offset, bytes: emptyChunk(), gapBytes: 0 };
    const end = range.follow ? Infinity : Math.max(size, offset);
    if (offset > size && range.follow) {
      // Where nothing is yet there may be nothing to seek to: filesystems bound the size of a file.
      if (!this.#finished) await this.#growth.beyond(offset, signal);
      if (await file.size() <= offset) return;
    }
    while (!signal.aborted && offset < end) {
      const finished = this.#finished; // Before the read: what came last is then in it.
      const chunk = await this.#readChunk(file, offset, end);
      if (chunk !== undefined) {
        offset = chunk.offset + chunk.bytes.length;
        yield chunk;
      } else if (finished) {
        return;
      } else {
        await this.#growth.beyond(offset, signal);
      }
    }
  }

  /** Reads from an offset, skipping what was rotated away; undefined at the end of the file. */
  async #readChunk(file: PositionedFile, offset: number, end: number): Promise<Chunk | undefined> {
    for (;;) {
      // What is gone may reach beyond the end of the part that is asked for.
      const from = Math.min(Math.max(offset, this.#firstOffset), end);
      const gapBytes = from - offset;
      const buffer = new Uint8Array(HEADROOM_BYTES + Math.min(CHUNK_BYTES, end - from))
        .subarray(HEADROOM_BYTES);
      const length = buffer.length === 0 ? 0 : await file.read(buffer, from);
      if (length === 0) {
        return gapBytes > 0 ? { offset: from, bytes: emptyChunk(), gapBytes } : undefined;
      }
      // Where the beginning has moved into what was read, the kernel may have read zeros.
      if (this.#firstOffset > from) continue;
      return { offset: from, bytes: buffer.subarray(0, length), gapBytes };
    }
  }

  async #startOffset(file: PositionedFile, range: ReadRange, size: number): Promise<number> {
    if (range.offset !== undefined) return range.offset;
    if (range.tailBytes !== undefined) {
      return Math.max(size - range.tailBytes, Math.min(this.#firstOffset, size));
    }
    if (range.tailLines !== undefined) {
      return await this.#offsetOfLastLines(file, range.tailLines, size);
    }
    return 0;
  }

  /** Where the last lines begin; a last line without its newline counts as one. */
  async #offsetOfLastLines(file: PositionedFile, count: number, size: number): Promise<number> {
    if (count === 0) return size;
    let newlines = 0;
    let end = size;
    while (end > this.#firstOffset) {
      const start = Math.max(end - CHUNK_BYTES, this.#firstOffset);
      const bytes = await readFully(file, start, end - start);
      for (let index = bytes.length - 1; index >= 0; index--) {
        // The newline that ends the last line does not begin another.
        if (bytes[index] !== NEWLINE || start + index === size - 1) continue;
        if (++newlines === count) return start + index + 1;
      }
      end = start;
    }
    return Math.min(this.#firstOffset, size);
  }
}

const NEWLINE = 10;

function emptyChunk(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(HEADROOM_BYTES).subarray(HEADROOM_BYTES);
}
