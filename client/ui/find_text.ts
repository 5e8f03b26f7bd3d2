/** Searches a job's whole output, of which the page holds a small part. */
import { Buffer } from "node:buffer";
import { follow, type Sink } from "../jobs/follow.ts";
import type { Session } from "../connection/session.ts";

/** What to search for, and where to start. */
export interface Wanted {
  readonly jobID: string;
  readonly text: string;
  readonly offset: number;
  /** Whether its standard error is searched, of a job that keeps it apart. */
  readonly stderr: boolean;
}

/** Finds a text in bytes that are cut anywhere. Pure. */
export class ByteFinder {
  readonly #wanted: Buffer;
  #tail = Buffer.alloc(0);

  constructor(text: string) {
    this.#wanted = Buffer.from(text);
  }

  /**
   * Searches the next piece.
   *
   * @param offset Where it begins.
   * @returns The offset of the text, once it was found.
   */
  look(bytes: Uint8Array, offset: number): number | undefined {
    const whole = Buffer.concat([this.#tail, bytes]);
    const index = whole.indexOf(this.#wanted);
    if (index >= 0) return offset - this.#tail.length + index;
    // A text cannot match across a gap: the caller resets the finder there.
    this.#tail = whole.subarray(Math.max(0, whole.length - this.#wanted.length + 1));
    return undefined;
  }

  /** Forgets the bytes before a gap. */
  reset(): void {
    this.#tail = Buffer.alloc(0);
  }
}

/**
 * Reads what the job has written so far, up to the first match.
 *
 * @returns Its offset; undefined where there is none.
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function findText(
  { jobID, text, offset, stderr }: Wanted,
  { session, signal }: { session: Session; signal: AbortSignal },
): Promise<number | undefined> {
  const finder = new ByteFinder(text);
  const found = new AbortController();
  let next = offset;
  let place: number | undefined;
  const sink: Sink = {
    write(bytes, begin) {
      if (place !== undefined) return;
      if (begin !== next) finder.reset();
      next = begin + bytes.length;
      place = finder.look(bytes, begin);
      if (place !== undefined) found.abort();
    },
    note() {},
  };
  const ended = AbortSignal.any([signal, found.signal]);
  try {
    await follow(
      { jobID, offset, stderr, follow: false, retryForMs: 0 },
      { session, sink, signal: ended },
    );
  } catch (error) {
    if (!ended.aborted) throw error;
  }
  return place;
}
