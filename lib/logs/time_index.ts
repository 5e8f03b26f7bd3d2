/**
 * When the bytes of an output were written, to be looked up. An entry says how many bytes there were
 * at a time; neither of the two ever goes down. Pure.
 */

/** How much output there was at a time. */
export interface TimeEntry {
  /** Bytes from the output's beginning. */
  readonly bytes: number;
  /** When the last of them was written: milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number;
}

/** On disk an entry is two numbers of eight bytes, in the host's order: the bytes, and the time. */
export const ENTRY_BYTES = 2 * Float64Array.BYTES_PER_ELEMENT;

/** The most entries that are kept of one output: 1 MiB, some nine hours of constant printing. */
export const MAX_ENTRIES = 64 * 1024;

/** The entries of one output, in their order. */
export class TimeIndex {
  /** As on disk: there may be many, and an object for each would cost much more. */
  readonly #numbers: Float64Array<ArrayBuffer>;

  private constructor(numbers: Float64Array<ArrayBuffer>) {
    this.#numbers = numbers;
  }

  static of(entries: readonly TimeEntry[]): TimeIndex {
    return new TimeIndex(
      Float64Array.from(entries.flatMap(({ bytes, timeMs }) => [bytes, timeMs])),
    );
  }

  /** Reads what is on disk; half of an entry, and one that cannot come after the one before it, is none. */
  static parse(file: Uint8Array): TimeIndex {
    const count = Math.floor(file.length / ENTRY_BYTES);
    const numbers = new Float64Array(file.slice(0, count * ENTRY_BYTES).buffer);
    let kept = 0;
    let lastBytes = 0;
    let lastMs = 0;
    for (let at = 0; at < numbers.length; at += 2) {
      const bytes = numbers[at] ?? NaN;
      const timeMs = numbers[at + 1] ?? NaN;
      const isNext = Number.isSafeInteger(bytes) && Number.isSafeInteger(timeMs) &&
        bytes > lastBytes && timeMs >= lastMs;
      if (!isNext) continue;
      lastBytes = bytes;
      lastMs = timeMs;
      numbers[kept++] = bytes;
      numbers[kept++] = timeMs;
    }
    return new TimeIndex(numbers.slice(0, kept));
  }

  get count(): number {
    return this.#numbers.length / 2;
  }

  get last(): TimeEntry | undefined {
    return this.#at(this.count - 1);
  }

  /** The entry that has the byte at an offset: the first one with more bytes than that. */
  entryOf(offset: number): TimeEntry | undefined {
    return this.#at(this.#first(({ bytes }) => bytes > offset));
  }

  /** The offset of the first byte that was written at a time or later; where there is none, the end. */
  offsetSince(timeMs: number): number {
    return this.#at(this.#first((entry) => entry.timeMs >= timeMs) - 1)?.bytes ?? 0;
  }

  /** The offset behind the last byte that was written at a time or before it. */
  offsetUntil(timeMs: number): number {
    return this.#at(this.#first((entry) => entry.timeMs > timeMs) - 1)?.bytes ?? 0;
  }

  /** The same with one more entry. */
  with({ bytes, timeMs }: TimeEntry): TimeIndex {
    const numbers = new Float64Array(this.#numbers.length + 2);
    numbers.set(this.#numbers);
    numbers.set([bytes, timeMs], this.#numbers.length);
    return new TimeIndex(numbers);
  }

  /** Every second entry: what goes is told with the time of the next one. The last one stays. */
  thinned(): TimeIndex {
    const odd = (this.count + 1) % 2;
    return new TimeIndex(this.#numbers.filter((_, at) => (at >> 1) % 2 === odd));
  }

  /** What is left when the output's beginning is freed: with the entry that says when that ended. */
  withoutHead(firstOffset: number): TimeIndex {
    const gone = Math.max(0, this.#first(({ bytes }) => bytes > firstOffset) - 1);
    return new TimeIndex(this.#numbers.slice(2 * gone));
  }

  /** As it is on disk. */
  format(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#numbers.slice().buffer);
  }

  #at(index: number): TimeEntry | undefined {
    const bytes = this.#numbers[2 * index];
    const timeMs = this.#numbers[2 * index + 1];
    return bytes === undefined || timeMs === undefined ? undefined : { bytes, timeMs };
  }

  /** The index of the first entry that has a property; all entries behind it have it too. */
  #first(has: (entry: TimeEntry) => boolean): number {
    let from = 0;
    let to = this.count;
    while (from < to) {
      const middle = (from + to) >> 1;
      const entry = this.#at(middle);
      if (entry !== undefined && has(entry)) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}

/**
 * The entry for a look at an output.
 *
 * @param last The entry before it, if there is one.
 * @param seen The output's size, and when its file was last changed.
 * @param nowMs The clock, which may have been set back since.
 * @returns Undefined where the output has not grown.
 */
export function nextEntry(
  last: TimeEntry | undefined,
  { bytes, timeMs }: TimeEntry,
  nowMs: number,
): TimeEntry | undefined {
  if (bytes <= (last?.bytes ?? 0)) return undefined;
  return { bytes, timeMs: Math.max(last?.timeMs ?? 0, Math.min(timeMs, nowMs)) };
}
