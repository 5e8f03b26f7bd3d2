/**
 * Lines on their way to a file that may stand still, such as a pipe that nobody reads or a disk
 * that hangs: whoever adds a line never waits, and memory is bounded. Lines that find no room are
 * dropped and counted, and a line in their place says how many they were.
 */
import { isInTime } from "../../common/in_time.ts";

/** Where the lines go: a file. */
export interface LineFile {
  /**
   * Writes whole lines. The queue never calls it again before the promise is settled.
   *
   * @throws {Error} Some of the lines could not be written.
   */
  write(lines: readonly Uint8Array[]): Promise<void>;
}

/** What makes a queue. */
export interface LineQueueOptions {
  readonly file: LineFile;
  /** The line that stands where lines were dropped. */
  readonly droppedLine: (count: number) => string;
  /** Called for each first line that is dropped after others were not. */
  readonly onFull?: () => void;
  /** Called when there is room again, with the number of lines that were dropped meanwhile. */
  readonly onRoom?: (dropped: number) => void;
}

/**
 * Lines and bytes that wait, at most. At 4,000 calls a second these are the lines of one second,
 * which is longer than any pause of a disk or a collector that is well.
 */
const MAX_LINES = 4096;
const MAX_BYTES = 1024 ** 2;

/** Other lines than those that must be kept leave a quarter of the room to them. */
const ORDINARY_SHARE = 3 / 4;

/** After a drop there is room again below this share: so many lines are told as one gap. */
const RESUME_SHARE = 1 / 2;

/**
 * Bytes of one write, unless a single line is longer. The kernel writes so much to a pipe whole or
 * not at all (PIPE_BUF, pipe(7)): no line is cut or mixed with another's, also when the process
 * ends meanwhile.
 */
const MAX_WRITE_BYTES = 4096;

const encoder = new TextEncoder();

/** A line that waits. */
interface Line {
  readonly bytes: Uint8Array;
  /** How many lines are missing when this one is not written: itself, or those that it tells of. */
  readonly weight: number;
}

/** Writes lines in the order in which they were added, one write at a time. */
export class LineQueue {
  readonly #options: LineQueueOptions;
  #waiting: Line[] = [];
  #lines = 0;
  #bytes = 0;
  /** Lines that were dropped after the last one that waits. */
  #dropped = 0;
  #isFull = false;
  #writing: Promise<void> | undefined;

  constructor(options: LineQueueOptions) {
    this.#options = options;
  }

  /**
   * Adds a line.
   *
   * @param line Ends with a newline.
   * @param mustKeep The line takes the room that is kept from others.
   */
  add(line: string, { mustKeep = false } = {}): void {
    const bytes = encoder.encode(line);
    if (!this.#hasRoomFor(bytes.length, mustKeep)) {
      this.#dropped++;
      if (this.#isFull) return;
      this.#isFull = true;
      this.#options.onFull?.();
      return;
    }
    this.#resume();
    this.#push({ bytes, weight: 1 });
    this.#writing ??= this.#write();
  }

  /**
   * Waits until every line is written.
   *
   * @returns False when the time was over before.
   */
  async flush(timeoutMs: number): Promise<boolean> {
    if (this.#writing === undefined) return true;
    return await isInTime(this.#writing, timeoutMs);
  }

  #hasRoomFor(bytes: number, mustKeep: boolean): boolean {
    const share = mustKeep ? 1 : this.#isFull ? RESUME_SHARE : ORDINARY_SHARE;
    return this.#lines < MAX_LINES * share && this.#bytes + bytes <= MAX_BYTES * share;
  }

  /** Lets a line stand where lines were dropped. It always finds room: it is one for many. */
  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const weight = this.#dropped;
    this.#dropped = 0;
    this.#push({ bytes: encoder.encode(this.#options.droppedLine(weight)), weight });
  }

  #push(line: Line): void {
    this.#waiting.push(line);
    this.#lines++;
    this.#bytes += line.bytes.length;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#options.file.write(batch.map(({ bytes }) => bytes));
      } catch {
        this.#release(batch);
        this.#lose(batch);
        continue;
      }
      this.#release(batch);
      this.#resume();
    }
    this.#writing = undefined;
  }

  /** The first lines, as many as one write takes. */
  #take(): readonly Line[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((line, index) =>
      (bytes += line.bytes.length) > MAX_WRITE_BYTES && index > 0
    );
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  #release(batch: readonly Line[]): void {
    this.#lines -= batch.length;
    for (const { bytes } of batch) this.#bytes -= bytes.length;
  }

  /** Where there is room again, whoever reads is told what is missing, also if no line follows. */
  #resume(): void {
    if (this.#isFull && !this.#hasRoomFor(0, false)) return;
    if (this.#isFull) this.#options.onRoom?.(this.#dropped);
    this.#isFull = false;
    this.#tellDropped();
  }

  /** Counts lines that were not written, to tell it before the next one. */
  #lose(batch: readonly Line[]): void {
    const weight = batch.reduce((sum, line) => sum + line.weight, 0);
    const [next, ...others] = this.#waiting;
    if (next === undefined) {
      this.#dropped += weight;
      return;
    }
    const bytes = encoder.encode(this.#options.droppedLine(weight));
    this.#waiting = [{ bytes, weight }, next, ...others];
    this.#lines++;
    this.#bytes += bytes.length;
  }
}
