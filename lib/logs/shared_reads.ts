/**
 * Readers of one output that are at about the same place read the file once: the last blocks that were
 * read are kept while several read. A block is also a larger read than a chunk, of which each costs a
 * turn of another thread. Who reads alone reads into his chunks.
 */
import { CHUNK_BYTES, giveBackChunk, takeChunk } from "./chunk_buffers.ts";
import type { RegularFile } from "../regular_file.ts";

/** The most that is read at once. */
export const BLOCK_BYTES = 256 * 1024;

/** The same where more than {@linkcode FEW_OUTPUTS} are read: blocks that come and go are used once. */
const SMALL_BLOCK_BYTES = 64 * 1024;

/** So many outputs may have two blocks each. */
const FEW_OUTPUTS = 16;

/** Blocks of one output that several follow: 1 MiB. */
const MAX_SHARED = 4;

/** Blocks of all outputs: 8 MiB. */
const MAX_BLOCKS = 32;

/** A part of an output, as it was read. */
class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly owner: SharedReads;
  readonly begin: number;
  readonly capacity: number;
  length = 0;
  /** The read that is under way; says how many bytes came. */
  loading: Promise<number> | undefined;

  constructor(owner: SharedReads, begin: number, buffer: ArrayBuffer, capacity: number) {
    this.owner = owner;
    this.begin = begin;
    this.bytes = new Uint8Array(buffer);
    this.capacity = capacity;
  }

  get end(): number {
    return this.begin + this.length;
  }

  get hasRoom(): boolean {
    return this.length < this.capacity;
  }

  /** Reads what comes behind it, as much as there is room for. */
  async load(file: Pick<RegularFile, "read">): Promise<number> {
    const rest = this.bytes.subarray(this.length, this.capacity);
    const count = await file.read(rest, this.end);
    this.length += count;
    return count;
  }

  /** Copies a part into a buffer of {@linkcode takeChunk}. */
  copy(offset: number, maxBytes: number): Uint8Array<ArrayBuffer> {
    const from = offset - this.begin;
    const length = Math.min(maxBytes, CHUNK_BYTES);
    const part = this.bytes.subarray(from, Math.min(from + length, this.length));
    const bytes = takeChunk(part.length);
    bytes.set(part);
    return bytes;
  }
}

/** The blocks of all outputs. */
class Blocks {
  /** Those that were used least recently come first. */
  readonly #kept = new Set<Block>();

  /** @returns Nothing where there are too many. */
  make(owner: SharedReads, begin: number, replaced: Block | undefined): Block | undefined {
    const old = replaced ?? (this.#kept.size < MAX_BLOCKS ? undefined : this.#leastUsed());
    if (old === undefined && this.#kept.size >= MAX_BLOCKS) return undefined;
    if (old !== undefined) this.drop(old);
    const buffer = old?.bytes.buffer ?? new ArrayBuffer(BLOCK_BYTES);
    const capacity = outputs.size > FEW_OUTPUTS ? SMALL_BLOCK_BYTES : BLOCK_BYTES;
    const block = new Block(owner, begin, buffer, capacity);
    this.#kept.add(block);
    return block;
  }

  get bytes(): number {
    return this.#kept.size * BLOCK_BYTES;
  }

  touch(block: Block): void {
    if (this.#kept.delete(block)) this.#kept.add(block);
  }

  drop(block: Block): void {
    this.#kept.delete(block);
    block.owner.forget(block);
  }

  #leastUsed(): Block | undefined {
    for (const block of this.#kept) if (block.loading === undefined) return block;
    return undefined;
  }
}

const all = new Blocks();

/** The outputs that somebody reads, by their keys. */
const outputs = new Map<string, SharedReads>();

/** The blocks of one output. */
export class SharedReads {
  /** Those that were used least recently come first. */
  #blocks: Block[] = [];
  #readers = 0;

  /** Memory that the blocks of all outputs take. */
  static get keptBytes(): number {
    return all.bytes;
  }

  /**
   * Begins to read a file.
   *
   * @param key Names the file: it must be no other one's until what is returned is disposed of.
   */
  static join(key: string): { reads: SharedReads } & Disposable {
    const reads = outputs.get(key) ?? new SharedReads();
    outputs.set(key, reads);
    reads.#readers++;
    return {
      reads,
      [Symbol.dispose]: () => {
        if (--reads.#readers > 1) return;
        if (reads.#readers === 0) outputs.delete(key);
        // Who reads alone needs none.
        for (const block of reads.#blocks) all.drop(block);
      },
    };
  }

  /**
   * Reads once.
   *
   * @param file The reader's own.
   * @param isFresh Whether the end must be the present one: of a read that began after this call.
   * @returns In a buffer of {@linkcode takeChunk}; nothing at the end of the file.
   */
  async read(
    file: Pick<RegularFile, "read">,
    { offset, maxBytes, isFresh }: { offset: number; maxBytes: number; isFresh: boolean },
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#readers === 1) return await readAlone(file, offset, maxBytes);
    for (let isFirst = true;; isFirst = false) {
      const block = this.#find(offset) ?? all.make(this, offset, this.#replaceable());
      if (block === undefined) return await readAlone(file, offset, maxBytes);
      this.forget(block);
      this.#blocks.push(block);
      if (offset < block.end) {
        all.touch(block);
        return block.copy(offset, maxBytes);
      }
      const isOwn = block.loading === undefined;
      const count = await (block.loading ??= this.#load(block, file)).catch((error: unknown) => {
        if (isOwn) throw error;
      });
      if (count === 0 && (isOwn || !isFirst || !isFresh)) return undefined;
    }
  }

  /** To be called by the keeper of all blocks. */
  forget(block: Block): void {
    this.#blocks = this.#blocks.filter((other) => other !== block);
  }

  async #load(block: Block, file: Pick<RegularFile, "read">): Promise<number> {
    try {
      return await block.load(file);
    } finally {
      block.loading = undefined;
      if (block.length === 0) all.drop(block);
    }
  }

  /** The block that has an offset, or ends there and can still grow. */
  #find(offset: number): Block | undefined {
    return this.#blocks.find(({ begin, end }) => begin <= offset && offset < end) ??
      this.#blocks.find(({ end, hasRoom }) => end === offset && hasRoom);
  }

  /** The block that another one takes the place of, where there are enough. */
  #replaceable(): Block | undefined {
    const maxBlocks = this.#readers > 1 ? MAX_SHARED : 1;
    if (this.#blocks.length < maxBlocks) return undefined;
    return this.#blocks.find(({ loading }) => loading === undefined);
  }
}

/** Reads into no block. */
async function readAlone(
  file: Pick<RegularFile, "read">,
  offset: number,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = takeChunk(maxBytes);
  const count = await file.read(bytes, offset);
  if (count > 0) return bytes.subarray(0, count);
  giveBackChunk(bytes);
  return undefined;
}
