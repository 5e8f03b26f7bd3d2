/** What of an input is held, and how much more may come. Pure. */
import { heldBytesOf, type InputFiles } from "./folder.ts";

/** So much is held at most beyond what the job has read, on the server's disk. */
export const MAX_AHEAD_BYTES = 8 * 1024 ** 2;

/** So much may be under way, or wait in the server's memory: it is not held yet. */
export const MAX_UNHELD_BYTES = 2 * 1024 ** 2;

/** A segment that has so much is followed by another one; what is fed is freed segment by segment. */
export const SEGMENT_BYTES = 2 * 1024 ** 2;

/**
 * So is one that was written to so often: each time the feeder's bell is rung, and what is rung while a job
 * reads nothing must fit into the bell, a pipe of 64 KiB.
 */
export const MAX_SEGMENT_WRITES = 4096;

/** More than the bytes that may be sent need; together they ring less often than the bell has room. */
export const MAX_SEGMENTS = 8;

interface Entry {
  readonly begin: number;
  bytes: number;
  writes: number;
}

/** A place for the next bytes. */
export interface Place {
  /** Of the segment. */
  readonly begin: number;
  /** Whether the segment is to be made. */
  readonly isNew: boolean;
  /** So many bytes at most go there. */
  readonly room: number;
}

/** The segments that were not fed yet, as far as is known, the oldest first. */
export class Ledger {
  readonly #entries: Entry[];
  #allowedBytes = 0;
  #end: number | undefined;

  constructor(files: Pick<InputFiles, "segments" | "end">) {
    const { segments, end } = files;
    const held = heldBytesOf(files);
    // The last segment was made empty, and may still be so.
    this.#entries = segments
      .filter(({ begin, bytes }, index) =>
        bytes > 0 || index === segments.length - 1 && begin === held
      )
      // How often an earlier server has written to them is not known.
      .map(({ begin, bytes }) => ({ begin, bytes, writes: bytes === 0 ? 0 : MAX_SEGMENT_WRITES }));
    if (this.#entries.length === 0) this.#entries.push({ begin: held, bytes: 0, writes: 0 });
    this.#end = end;
  }

  get #last(): Entry {
    const last = this.#entries.at(-1);
    if (last === undefined) throw new Error("an input has no segment");
    return last;
  }

  /** All bytes before this offset are in files. */
  get heldBytes(): number {
    return this.#last.begin + this.#last.bytes;
  }

  /** Bytes before this offset may be sent. Never goes back. */
  get allowedBytes(): number {
    if (this.isEnded) return this.heldBytes;
    const oldest = this.#entries[0]?.begin ?? 0;
    const allowed = Math.min(oldest + MAX_AHEAD_BYTES, this.heldBytes + MAX_UNHELD_BYTES);
    return this.#allowedBytes = Math.max(this.#allowedBytes, allowed);
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** The oldest segment, where that is whole: it is emptied when it has been fed. */
  get oldestWhole(): number | undefined {
    return this.#entries.length > 1 ? this.#entries[0]?.begin : undefined;
  }

  /** Where the next bytes go; undefined: nowhere, until {@linkcode fed}. */
  place(): Place | undefined {
    const { begin, bytes, writes } = this.#last;
    if (bytes < SEGMENT_BYTES && writes < MAX_SEGMENT_WRITES) {
      return { begin, isNew: false, room: SEGMENT_BYTES - bytes };
    }
    if (this.#entries.length >= MAX_SEGMENTS) return undefined;
    return { begin: this.heldBytes, isNew: true, room: SEGMENT_BYTES };
  }

  /** The segment of a {@linkcode place} was made. */
  made(begin: number): void {
    this.#entries.push({ begin, bytes: 0, writes: 0 });
  }

  /** The last segment was written to; also where only a part of it could be. */
  wrote(bytes: number): void {
    this.#last.bytes += bytes;
    this.#last.writes += 1;
  }

  /**
   * Nothing more is written to the last segment: what follows goes to another one. So it is whole, and is
   * freed when it is fed, however small it is.
   */
  close(): void {
    if (this.#last.bytes > 0) this.#last.writes = MAX_SEGMENT_WRITES;
  }

  /** The oldest segment was fed. */
  fed(): void {
    this.#entries.shift();
  }

  /** The input ends here. */
  end(): void {
    this.#end = this.heldBytes;
  }
}
