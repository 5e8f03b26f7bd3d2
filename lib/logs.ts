/**
 * The output log of one job: a file that the job's launcher fills, with any number of readers that
 * share nothing but the file, and what was read of it last. (The server's own log is lib/log.ts.)
 */
import { pause } from "../common/pause.ts";
import { CHUNK_BYTES, giveBackChunk, LARGE_CHUNK_BYTES } from "./logs/chunk_buffers.ts";
import { Gaps } from "./logs/gaps.ts";
import { log } from "./log.ts";
import { type GrowthNews, GrowthSignal } from "./logs/growth.ts";
import { withHeadroom } from "./logs/headroom.ts";
import { OutputTimes } from "./logs/output_times.ts";
import { SegmentedFile, statSegments, statSegmentsSync, syncSegments } from "./logs/segments.ts";
import type { TimeEntry } from "./logs/time_index.ts";
import { SharedReads } from "./logs/shared_reads.ts";
import { offsetOfLastLines } from "./logs/tail.ts";
import { hasZero } from "./logs/zeros.ts";
import { ForgedFileError, openRegular, type RegularFile, statRegularSync } from "./regular_file.ts";

/** For news of gaps, in one reading: whoever may write the file can change it again and again. */
const MAX_LOOKS = 10;

/**
 * How long bytes may stay unseen behind which others are seen already, on a file system with caches; then they are
 * missing.
 */
const VISIBLE_MS = 15_000;

/** How often they are looked for. */
const VISIBLE_LOOK_MS = 100;

/** A piece of output. */
export interface Chunk {
  /** The offset of `bytes` in the output. */
  offset: number;
  /** In a buffer of its own: the reader may write there, and give it back (logs/chunk_buffers.ts). */
  bytes: Uint8Array<ArrayBuffer>;
  /**
   * How many bytes right before `offset` are not there: rotated away before this reader reached them,
   * refused by the disk, or cut off by somebody.
   */
  gapBytes: number;
  /** When the bytes were written, milliseconds since 1970-01-01 UTC, where that was asked for. */
  timeMs?: number;
}

/** Which part of the output to read; at most one of the first three. */
export interface ReadRange {
  offset?: number;
  /** This many lines from the end. */
  tailLines?: number;
  /** This many bytes from the end. */
  tailBytes?: number;
  /** A tail begins here or later. */
  from?: number;
  /** Nothing from this byte on. */
  end?: number;
  /** Go on while the job runs. */
  follow: boolean;
}

/** Whether a range begins at an offset that depends on the output's size. */
export function isTail({ tailLines, tailBytes }: ReadRange): boolean {
  return tailLines !== undefined || tailBytes !== undefined;
}

/** What is known of an output. */
export interface OutputOptions {
  /** The offset of the first byte that is kept. */
  firstOffset: number;
  /** Whether the job has ended. */
  finished: boolean;
  /** The file that says what is missing in between, see {@linkcode Gaps}. */
  gapsPath: string;
  /** The file that says when the output grew, see {@linkcode OutputTimes}. */
  timesPath: string;
  /** How news of its growth comes; "events" unless given. With "polling" it may be in several files. */
  news?: GrowthNews;
  /** How long unseen bytes are waited for before others; tests shorten it. */
  visibleMs?: number;
  /** Of a job that has ended: the size of its whole output, if that is on record. */
  totalBytes?: number | undefined;
}

/** An output that is open for reading. */
type OutputFile = RegularFile | SegmentedFile;

/** How far a reader has come. */
interface ReadPlace {
  /** The next byte. */
  readonly offset: number;
  /** Nothing from this byte on. */
  readonly end: number;
  /** Whether the job had ended before this read. */
  readonly finished: boolean;
  /** The file's size when it was last looked at: up to there it need not be looked at again. */
  readonly seen: { bytes: number };
}

/** The output of one job. */
export class OutputLog {
  /** When it grew. */
  readonly times: OutputTimes;
  readonly #path: string;
  readonly #news: GrowthNews;
  readonly #visibleMs: number;
  readonly #growth: GrowthSignal;
  readonly #gaps: Gaps;
  #firstOffset: number;
  #finished: boolean;
  /** The size of the whole output, as far as it is known: a file that is smaller was cut. */
  #knownBytes: number;

  /** @param path The file with the output. */
  constructor(path: string, options: OutputOptions) {
    this.#path = path;
    this.#news = options.news ?? "events";
    this.#visibleMs = options.visibleMs ?? VISIBLE_MS;
    this.times = new OutputTimes(options.timesPath);
    this.#firstOffset = options.firstOffset;
    this.#finished = options.finished;
    this.#knownBytes = options.totalBytes ?? 0;
    this.#growth = new GrowthSignal(path, this.#news);
    this.#gaps = new Gaps(options.gapsPath);
  }

  /** Bytes before this one are gone, or may go at any moment. */
  get firstOffset(): number {
    return this.#firstOffset;
  }

  /** To be set before the bytes are freed. Never goes back. */
  set firstOffset(offset: number) {
    this.#firstOffset = Math.max(this.#firstOffset, offset);
  }

  /**
   * Tells that the job has ended: nothing more will be appended, and readers end at the last byte.
   *
   * @param totalBytes The size of the whole output, with what is missing at its end.
   */
  finish(totalBytes = 0): void {
    this.#knownBytes = Math.max(this.#knownBytes, totalBytes);
    this.#finished = true;
    this.#growth.finish();
  }

  /**
   * Bytes of output so far, and bytes that the file takes on the disk; none of what is no file of the job's.
   *
   * @throws {Deno.errors.NotFound} When the file is gone.
   */
  size(): { bytes: number; diskBytes: number } {
    try {
      const { size, diskBytes } = this.#stat();
      this.#noteSize(size);
      return { bytes: this.#knownBytes, diskBytes };
    } catch (error) {
      if (error instanceof ForgedFileError) return { bytes: this.#knownBytes, diskBytes: 0 };
      throw error;
    }
  }

  /**
   * How much output there is, and when the file was last changed. The folder that nodes share is asked
   * in the background: it may not answer. What a job of this host has open, the kernel knows at once.
   *
   * @throws {Deno.errors.NotFound} When the file is gone.
   */
  async look(): Promise<TimeEntry> {
    const { size, mtime } = this.#news === "polling"
      ? await statSegments(this.#path)
      : statRegularSync(this.#path);
    this.#noteSize(size);
    return { bytes: this.#knownBytes, timeMs: mtime?.getTime() ?? Date.now() };
  }

  /**
   * Settles when all that was written before the call is on the disk (fdatasync(2)).
   *
   * @throws When the disk fails, or the file is gone or replaced.
   */
  async sync(): Promise<void> {
    if (this.#news === "polling") return await syncSegments(this.#path);
    await using file = await openRegular(this.#path);
    if (await file.size() > 0) await file.sync();
  }

  /**
   * Reads a part of the output in order. A tail begins with a chunk without bytes that tells its
   * offset, so that a reader can resume from there. Ends when the job has ended and the last byte was
   * read; without `follow`, at the size that the output had at the beginning.
   *
   * @param signal Ends the reading early, without an error.
   * @param takeTurn Waits until a search for lines may begin; the turn ends with it.
   * @throws {Deno.errors.NotFound} When the file is gone.
   */
  async *read(
    range: ReadRange,
    signal: AbortSignal,
    takeTurn?: () => Promise<Disposable>,
  ): AsyncGenerator<Chunk> {
    using turn = range.tailLines === undefined
      ? undefined
      : await takeTurn?.().catch((error: unknown) => {
        if (!signal.aborted) throw error;
        return undefined;
      });
    if (signal.aborted) return;
    await using file = this.#news === "polling"
      ? await SegmentedFile.open(this.#path)
      : await openRegular(this.#path);
    const { size, dev, ino } = await file.status();
    // The numbers alone may be those of another file: they are rounded above 2^53.
    using reader = SharedReads.join(`${this.#path} ${dev} ${ino}`);
    this.#noteSize(size);
    let offset = await this.#startOffset(file, range, size, signal);
    turn?.[Symbol.dispose]();
    if (signal.aborted) return;
    if (isTail(range)) yield { offset, bytes: emptyChunk(), gapBytes: 0 };
    const present = range.follow ? Infinity : Math.max(this.#knownBytes, offset);
    const end = Math.min(present, range.end ?? Infinity);
    if (offset > size && range.follow) {
      // Waits before it seeks: an offset above the filesystem's maximum file size cannot be sought.
      if (!this.#finished) await this.#growth.beyond(offset, signal);
      if (Math.max(await file.size(), this.#knownBytes) <= offset) return;
    }
    let behindSinceMs: number | undefined;
    const seen = { bytes: 0 };
    while (!signal.aborted && offset < end) {
      // Before the read, which then includes the last bytes that were written before the job's end.
      const finished = this.#finished;
      const place = { offset, end, finished, seen };
      const chunk = await this.#readChunk({ file, reads: reader.reads }, place);
      const next = chunk === undefined ? await this.#nextBegin(file, offset) : undefined;
      if (chunk !== undefined) {
        offset = chunk.offset + chunk.bytes.length;
        behindSinceMs = undefined;
        yield chunk;
        // What a fast writer has added since comes with the next news of it, in large pieces.
        const isAtEnd = offset >= seen.bytes && offset >= this.#knownBytes;
        if (isAtEnd && offset < end && !finished) await this.#growth.beyond(offset, signal);
      } else if (next !== undefined) {
        if (behindSinceMs === undefined) behindSinceMs = performance.now();
        else if (performance.now() - behindSinceMs < this.#visibleMs) {
          await pause(VISIBLE_LOOK_MS, signal);
        } else {
          const to = Math.min(next, end);
          yield { offset: to, bytes: emptyChunk(), gapBytes: to - offset };
          offset = to;
          behindSinceMs = undefined;
        }
      } else if (finished) {
        // What the disk refused at the very end, or what somebody has cut off.
        const missingBytes = Math.min(this.#knownBytes, end) - offset;
        if (missingBytes > 0) {
          yield { offset: offset + missingBytes, bytes: emptyChunk(), gapBytes: missingBytes };
        }
        return;
      } else {
        await this.#growth.beyond(offset, signal);
      }
    }
  }

  /** Whether a gap that is not known yet may be among bytes that were read. */
  #mayHaveGap(bytes: Uint8Array<ArrayBuffer>): boolean {
    // A gap is on record before there is anything behind it; another machine may see the two in any order.
    return this.#news === "polling" ? hasZero(bytes) : this.#gaps.haveChanged();
  }

  /** Where the output goes on after bytes that are not there, for whatever reason; undefined: nowhere. */
  async #nextBegin(file: OutputFile, offset: number): Promise<number | undefined> {
    const next = file instanceof SegmentedFile ? await file.nextBegin(offset) : undefined;
    // Behind what the disk refused, another file begins.
    if (next !== undefined) await this.#gaps.refresh();
    return next;
  }

  /** Reads from an offset, and skips what is not there; undefined at the end of the file. */
  async #readChunk(
    { file, reads }: { file: OutputFile; reads: SharedReads },
    { offset, end, finished, seen }: ReadPlace,
  ): Promise<Chunk | undefined> {
    for (let looks = 0;; looks++) {
      // More may be missing than the whole part that is asked for.
      const from = Math.min(this.#gaps.skip(Math.max(offset, this.#firstOffset)), end);
      const gapBytes = from - offset;
      const until = Math.min(end, this.#gaps.nextAfter(from));
      // A read takes a turn of another thread, also where it brings nothing.
      if (!finished && until > from && from >= seen.bytes) seen.bytes = this.#sizeAtOnce();
      const isAtEnd = !finished && from >= seen.bytes;
      const maxBytes = Math.min(this.#bytesToRead(from, seen.bytes), until - from);
      const read = isAtEnd || maxBytes === 0
        ? undefined
        : await reads.read(file, { offset: from, maxBytes, isFresh: finished });
      if (read === undefined) {
        if (gapBytes > 0) return { offset: from, bytes: emptyChunk(), gapBytes };
        if (maxBytes === 0 || this.#finished) return undefined;
        if (this.#noteSize(isAtEnd ? seen.bytes : await file.size())) continue;
        return undefined;
      }
      // If the beginning has moved into the bytes that were read, some of them may read as zeros. So
      // does a gap that was made since.
      const isDoubtful = this.#firstOffset > from ||
        looks < MAX_LOOKS && this.#mayHaveGap(read) && await this.#gaps.refresh();
      if (!isDoubtful) return { offset: from, bytes: read, gapBytes };
      giveBackChunk(read);
    }
  }

  /** @returns Whether somebody has cut the file: what is known to be missing then is a gap. */
  #noteSize(seenBytes: number): boolean {
    const end = this.#knownBytes;
    // The size may have been looked up before a later one: only the present one tells of a cut.
    const present = seenBytes >= end ? seenBytes : this.#stat().size;
    const size = Math.min(present, Number.MAX_SAFE_INTEGER);
    if (size >= end) this.#knownBytes = size;
    // What is missing at the end of a finished output needs no record.
    if (size >= end || this.#finished || this.#gaps.skip(size) >= end) return false;
    if (this.#gaps.isFull) return false;
    log.warn("a job's output was cut off by somebody", { file: this.#path, bytes: end - size });
    void this.#gaps.add({ begin: size, end });
    return true;
  }

  /** How much may be read at once: more than a usual chunk only where it is certainly there. */
  #bytesToRead(from: number, seenBytes: number): number {
    const seen = Number.isFinite(seenBytes) ? seenBytes : 0;
    const present = Math.max(seen, this.#knownBytes) - from;
    return present <= 0 ? CHUNK_BYTES : Math.min(present, LARGE_CHUNK_BYTES);
  }

  /** The size, where the kernel knows it at once; Infinity: who has the file open may ask. */
  #sizeAtOnce(): number {
    if (this.#news === "polling") return Infinity;
    try {
      return this.#stat().size;
    } catch {
      return Infinity;
    }
  }

  #stat(): { size: number; diskBytes: number } {
    if (this.#news === "polling") return statSegmentsSync(this.#path);
    const { size, blocks } = statRegularSync(this.#path);
    return { size, diskBytes: (blocks ?? 0) * 512 };
  }

  async #startOffset(
    file: OutputFile,
    range: ReadRange,
    size: number,
    signal: AbortSignal,
  ): Promise<number> {
    if (range.offset !== undefined) return range.offset;
    const end = Math.min(size, range.end ?? Infinity);
    const begin = Math.min(Math.max(this.#firstOffset, range.from ?? 0), end);
    if (range.tailBytes !== undefined) return Math.max(end - range.tailBytes, begin);
    if (range.tailLines !== undefined) {
      return await offsetOfLastLines(file, range.tailLines, { begin, end }, { signal });
    }
    return 0;
  }
}

function emptyChunk(): Uint8Array<ArrayBuffer> {
  return withHeadroom(new Uint8Array());
}
