/**
 * Parts of an output that its file does not have, because the disk refused them or somebody cut the
 * file: each is a line `OFFSET BYTES` of a file beside the output. They read as zeros in the output.
 */
import { existsSync } from "node:fs";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { appendRegular, openRegular, statRegular, statRegularSync } from "../regular_file.ts";

/** A part of an output, in bytes from its beginning; `end` is the first byte behind it. */
export interface Gap {
  readonly begin: number;
  readonly end: number;
}

/** Of the file so much is read; on a cluster a job's user may write into it. */
const MAX_FILE_BYTES = 256 * 1024;

/** Gaps that are added by a server; a job's user may cut the output as often as he likes. */
const MAX_ADDED = 1000;

/** The gaps of one output. */
export class Gaps {
  readonly #path: string;
  #known: readonly Gap[] = [];
  /** The size of the file when it was read. */
  #readBytes = 0;
  #added = 0;
  /** Lines of the file. */
  #unwritten = "";
  #written: Promise<void> | undefined;

  /** @param path The file; it exists only where there are gaps. */
  constructor(path: string) {
    this.#path = path;
  }

  /** The first offset from `offset` on that is in no known gap. */
  skip(offset: number): number {
    return this.#known.reduce(
      (from, { begin, end }) => begin <= from && from < end ? end : from,
      offset,
    );
  }

  /** Where the next known gap begins after an offset; Infinity: there is none. */
  nextAfter(offset: number): number {
    return this.#known.find(({ begin }) => begin > offset)?.begin ?? Infinity;
  }

  /**
   * Whether {@linkcode refresh} would read the file, of which the kernel knows at once. What is behind a gap is written
   * after the gap is on record: so this is to be called after bytes were read, which may be a gap's.
   */
  haveChanged(): boolean {
    // Usually there is no file, and this is the cheapest way to see that.
    if (this.#readBytes === Infinity || !existsSync(this.#path)) return false;
    try {
      return statRegularSync(this.#path).size !== this.#readBytes;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /**
   * Reads the file where it has changed.
   *
   * @returns Whether there are other gaps than before.
   */
  async refresh(): Promise<boolean> {
    try {
      // What is behind the bound will not be read.
      if (this.#readBytes === Infinity) return false;
      if ((await statRegular(this.#path)).size === this.#readBytes) return false;
      const bytes = await beginOf(this.#path);
      const isWhole = bytes.length < MAX_FILE_BYTES;
      this.#readBytes = isWhole ? bytes.length : Infinity;
      this.#known = parseGaps(new TextDecoder().decode(bytes));
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Whether no more gaps are added: what is cut off then reads as zeros. */
  get isFull(): boolean {
    return this.#added >= MAX_ADDED;
  }

  /** Adds a gap; where it cannot be written, this server alone knows of it. */
  async add(gap: Gap): Promise<void> {
    if (this.isFull) return;
    this.#added++;
    this.#known = inOrder([...this.#known, gap]);
    this.#unwritten += `${gap.begin} ${gap.end - gap.begin}\n`;
    this.#written ??= this.#write();
    await this.#written;
  }

  /** Writes what there is to write, one part after the other: there may be many at once. */
  async #write(): Promise<void> {
    while (this.#unwritten !== "") {
      const lines = this.#unwritten;
      this.#unwritten = "";
      try {
        await appendRegular(this.#path, new TextEncoder().encode(lines), 0o600);
        this.#readBytes += lines.length;
      } catch (error) {
        log.error("cannot record a gap in a job's output", { error: messageOf(error), lines });
      }
    }
    this.#written = undefined;
  }
}

async function beginOf(path: string): Promise<Uint8Array> {
  await using file = await openRegular(path);
  return await file.readFully(0, MAX_FILE_BYTES);
}

/** Parses the lines of the file; a half-written one counts as not written. */
export function parseGaps(text: string): Gap[] {
  return inOrder(
    [...text.matchAll(/^(\d{1,15}) (\d{1,15})\n/gm)].map(([, begin, bytes]) => ({
      begin: Number(begin),
      end: Number(begin) + Number(bytes),
    })),
  );
}

function inOrder(gaps: readonly Gap[]): Gap[] {
  return [...gaps].sort((a, b) => a.begin - b.begin);
}
