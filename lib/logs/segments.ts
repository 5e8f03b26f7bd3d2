/**
 * An output in several files, where the shared file system cannot free the beginning of one (lib/shim/copy.sh): the
 * first is `output`; each later one is in the folder `segments` beside it, and its name is the offset of its first
 * byte. Old ones are removed.
 *
 * The folder belongs to whom the job runs as, so anything may be in it. A segment is a regular file with one name
 * that belongs to the folder's owner or root; in the place of anything else, bytes are missing.
 */
import type { Stats } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import {
  ForgedFileError,
  openRegular,
  readFully,
  type RegularFile,
  requireOneName,
  statRegular,
  statRegularSync,
} from "../regular_file.ts";
import { findKeptPart } from "./kept_part.ts";
import type { Cut } from "./rotation.ts";

const SEGMENTS_FOLDER = "segments";

/** A segment is between one and two such parts of the bound long. */
const SEGMENT_SHARE = 16;

/** Shorter segments would cost more than they save. */
const MIN_SEGMENT_BYTES = 128 * 1024;

/** A folder that takes more has thousands of files, which no launcher has made. */
const MAX_FOLDER_BYTES = 256 * 1024;

/** The server's own user, which on a cluster with jobs of several users is root. */
const ROOT_ID = 0;

/** A file of an output. */
interface Segment {
  readonly path: string;
  /** The offset of its first byte. */
  readonly begin: number;
}

/** The files of an output, the first one first, and who may own the later ones. */
interface Segments {
  readonly all: readonly [Segment, ...Segment[]];
  readonly owner: number | null;
}

/** How large an output is, and when it was changed last. */
export interface OutputStat {
  /** Bytes, with what was removed. */
  readonly size: number;
  readonly diskBytes: number;
  /** null: not known. */
  readonly mtime: Date | null;
  /** Whether something else is in the place of the last file: nothing of it counts. */
  readonly isForged: boolean;
}

/** After so many bytes an output goes on in another file; undefined: all is kept, in one. */
export function segmentBytesFor(maxOutputBytes: number): number | undefined {
  if (!Number.isFinite(maxOutputBytes)) return undefined;
  return Math.max(MIN_SEGMENT_BYTES, Math.floor(maxOutputBytes / SEGMENT_SHARE));
}

/** The folder of an output's later files. */
export function segmentsFolderOf(output: string): string {
  return join(dirname(output), SEGMENTS_FOLDER);
}

/**
 * How large an output is.
 *
 * @param options `anew`: opens the file that may grow, which makes a network file system look at its server's copy.
 * @throws {ForgedFileError} Something else is in the place of the first file.
 * @throws {Deno.errors.NotFound} There is no output.
 */
export async function statSegments(
  output: string,
  { anew = false }: { readonly anew?: boolean } = {},
): Promise<OutputStat> {
  const segments = await segmentsOf(output);
  if (anew) await lookAnew(lastOf(segments).path);
  const first = await statRegular(output);
  if (segments.all.length === 1) return total(segments, first, first);
  return total(segments, first, await Deno.lstat(lastOf(segments).path).catch(noneIfAbsent));
}

/** The same at once, by what this host knows. */
export function statSegmentsSync(output: string): OutputStat {
  const segments = segmentsOfSync(output);
  const first = statRegularSync(output);
  if (segments.all.length === 1) return total(segments, first, first);
  try {
    return total(segments, first, Deno.lstatSync(lastOf(segments).path));
  } catch (error) {
    return total(segments, first, noneIfAbsent(error));
  }
}

async function lookAnew(path: string): Promise<void> {
  try {
    await using file = await openRegular(path);
    await file.size();
  } catch (error) {
    noneIfAbsent(error);
  }
}

function lastOf({ all }: Segments): Segment {
  return all.at(-1) ?? all[0];
}

/** @param last Of the last file; undefined: it is gone. */
function total(
  segments: Segments,
  first: Deno.FileInfo,
  last: Deno.FileInfo | undefined,
): OutputStat {
  const [, second] = segments.all;
  const { begin } = lastOf(segments);
  const isForged = last !== undefined && begin > 0 && whyNotOwn(last, segments.owner) !== undefined;
  const own = isForged ? undefined : last;
  return {
    // A sparse file may be said to be larger than any can be.
    size: Math.min(begin + (own?.size ?? 0), Number.MAX_SAFE_INTEGER),
    // Those in between are full.
    diskBytes: ((first.blocks ?? 0) + (second && own?.blocks || 0)) * 512 +
      begin - (second?.begin ?? begin),
    mtime: own?.mtime ?? null,
    isForged,
  };
}

/** Settles when all files are on the disk. */
export async function syncSegments(output: string): Promise<void> {
  const { all, owner } = await segmentsOf(output);
  for (const segment of all) {
    try {
      await using file = await openSegment(segment, owner);
      if (await file.size() > 0) await file.sync();
    } catch (error) {
      // Of what is missing there is nothing to be kept.
      if (segment.begin === 0) throw error;
      noneIfAbsent(error);
    }
  }
}

/** Frees the beginnings of outputs, as far as they are whole files; what cannot be freed is logged. */
export async function freeSegments(cuts: readonly Cut[]): Promise<void> {
  for (const { file, length } of cuts) {
    try {
      await freeBefore(file, length);
    } catch (error) {
      log.error("cannot free the start of an output", { file, error: messageOf(error) });
    }
  }
}

async function freeBefore(output: string, offset: number): Promise<void> {
  const { all } = await segmentsOf(output);
  for (const [index, { path, begin }] of all.entries()) {
    const next = all[index + 1];
    if (next === undefined || next.begin > offset) return;
    // The first one stays, empty: by it an output is known to be there. A link is removed, and not followed.
    if (begin === 0) await empty(path);
    else await Deno.remove(path);
  }
}

async function empty(path: string): Promise<void> {
  await using file = await openRegular(path, "change");
  if (await file.size() > 0) await file.truncate(0);
}

/**
 * The offset of the first byte that was not removed, found in the files.
 *
 * @throws {Deno.errors.NotFound} There is no output.
 */
export async function findKeptSegments(output: string): Promise<number> {
  const { all: [, second] } = await segmentsOf(output);
  if (second !== undefined && (await statRegular(output)).size === 0) return second.begin;
  return await findKeptPart(output);
}

/** Reads an output that may go on in other files. */
export class SegmentedFile implements AsyncDisposable {
  readonly #output: string;
  readonly #first: Pick<Stats, "dev" | "ino">;
  #file: RegularFile;
  #begin = 0;

  private constructor(output: string, first: Pick<Stats, "dev" | "ino">, file: RegularFile) {
    this.#output = output;
    this.#first = first;
    this.#file = file;
  }

  /**
   * Opens it.
   *
   * @throws {ForgedFileError} Something else is in the place of its first file.
   * @throws {Deno.errors.NotFound} There is none.
   */
  static async open(output: string): Promise<SegmentedFile> {
    const file = await openRegular(output);
    try {
      return new SegmentedFile(output, await file.status(), file);
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What tells the first file from others, and the size of the whole output now, in bytes. */
  async status(): Promise<Pick<Stats, "size" | "dev" | "ino">> {
    const { dev, ino } = this.#first;
    return { size: await this.size(), dev, ino };
  }

  /** The size of the whole output now, in bytes. */
  async size(): Promise<number> {
    return (await statSegments(this.#output, { anew: true })).size;
  }

  /**
   * Reads once, up to the length of the buffer.
   *
   * @returns How many bytes were read; 0 at the end, and where none are: see {@linkcode nextBegin}.
   */
  async read(buffer: Uint8Array, offset: number): Promise<number> {
    if (offset >= this.#begin) {
      const length = await this.#file.read(buffer, offset - this.#begin);
      if (length > 0) return length;
    }
    return await this.#seek(offset) ? await this.#file.read(buffer, offset - this.#begin) : 0;
  }

  /** Reads so many bytes; fewer only where the output ends, or has none, before them. */
  readFully(offset: number, length: number): Promise<Uint8Array> {
    return readFully(this, offset, length);
  }

  /** Where a later file begins than one in which nothing is left from an offset on; undefined: there is none. */
  async nextBegin(offset: number): Promise<number | undefined> {
    const { all } = await segmentsOf(this.#output);
    return all.find(({ begin }) => begin > offset)?.begin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  /**
   * Opens the file that should have a byte; anew where another one has been begun since, for its last bytes may not
   * have been visible.
   *
   * @returns Whether it is worth reading.
   */
  async #seek(offset: number): Promise<boolean> {
    const { all, owner } = await segmentsOf(this.#output);
    const segment = all.findLast(({ begin }) => begin <= offset);
    if (segment === undefined) return false;
    if (segment.begin === this.#begin && segment === all.at(-1)) return false;
    try {
      const file = await openSegment(segment, owner);
      await this.#file[Symbol.asyncDispose]();
      [this.#file, this.#begin] = [file, segment.begin];
      return true;
    } catch (error) {
      noneIfAbsent(error);
      return false;
    }
  }
}

/** Of a file that was removed, or in whose place something else is; every other error is thrown. */
function noneIfAbsent(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound || error instanceof ForgedFileError) return undefined;
  throw error;
}

async function openSegment({ path, begin }: Segment, owner: number | null): Promise<RegularFile> {
  const file = await openRegular(path);
  try {
    if (begin > 0) {
      const { uid, nlink } = await file.status();
      requireOneName({ nlink });
      const problem = whyNotOwn({ isFile: true, uid, nlink }, owner);
      if (problem) throw new ForgedFileError(problem);
    }
    return file;
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Why a file may be another one's; undefined: it is the job's. */
function whyNotOwn(
  { isFile, uid, nlink }: Pick<Deno.FileInfo, "isFile" | "uid" | "nlink">,
  owner: number | null,
): string | undefined {
  if (!isFile) return "no regular file";
  // With one name, a file that has this name was not reached by another one.
  if (nlink !== 1) return "a file with another name";
  return uid === owner || uid === ROOT_ID ? undefined : "a file of another user's";
}

async function segmentsOf(output: string): Promise<Segments> {
  const folder = segmentsFolderOf(output);
  try {
    const owner = ownerOf(await Deno.lstat(folder));
    const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
    return { all: inOrder(output, names), owner };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return alone(output);
    throw error;
  }
}

function segmentsOfSync(output: string): Segments {
  const folder = segmentsFolderOf(output);
  try {
    const owner = ownerOf(Deno.lstatSync(folder));
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    return { all: inOrder(output, names), owner };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return alone(output);
    throw error;
  }
}

/** Of an output in one file: others need no folder. */
function alone(output: string): Segments {
  return { all: [{ path: output, begin: 0 }], owner: null };
}

/** @throws {ForgedFileError} It is not the folder that was made for segments, or has more than these. */
function ownerOf({ isDirectory, size, uid }: Deno.FileInfo): number | null {
  if (!isDirectory) throw new ForgedFileError("no folder");
  if (size > MAX_FOLDER_BYTES) throw new ForgedFileError("a folder of too many files");
  return uid;
}

function inOrder(output: string, names: readonly string[]): [Segment, ...Segment[]] {
  const later = names
    .filter((name) => /^[1-9]\d{0,14}$/.test(name))
    .map((name) => ({ path: join(segmentsFolderOf(output), name), begin: Number(name) }))
    .sort((one, other) => one.begin - other.begin);
  return [{ path: output, begin: 0 }, ...later];
}
