/**
 * The times of one output on disk: a file beside it, which the server appends to whenever it sees that
 * the output has grown. A disk that refuses costs entries, never output.
 */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { appendRegular, openRegular, replaceFile } from "../regular_file.ts";
import { ENTRY_BYTES, MAX_ENTRIES, nextEntry, type TimeEntry, TimeIndex } from "./time_index.ts";

/** Nothing larger is read: the server writes no such file. */
const MAX_FILE_BYTES = 2 * MAX_ENTRIES * ENTRY_BYTES;

const FILE_MODE = 0o600;

/** How long after the disk has refused an entry the next one is tried. */
const RETRY_MS = 10_000;

/** What is known of the file. */
interface Known {
  readonly last: TimeEntry | undefined;
  /** Entries in the file. */
  readonly count: number;
}

/** When an output grew. */
export class OutputTimes {
  readonly #path: string;
  readonly #nowMs: () => number;
  readonly #maxEntries: number;
  /** Undefined: the file is to be read first. */
  #known: Known | undefined;
  /** When the disk has refused an entry last; undefined: it has taken the last one. */
  #refusedAtMs: number | undefined;
  /** The changes of the file, one after the other. */
  #changed: Promise<void> = Promise.resolve();

  /**
   * @param path The file; it is made with the first entry.
   * @param options Tests have a clock of their own, and smaller files.
   */
  constructor(
    path: string,
    { nowMs = Date.now, maxEntries = MAX_ENTRIES }: {
      readonly nowMs?: () => number;
      readonly maxEntries?: number;
    } = {},
  ) {
    this.#path = path;
    this.#nowMs = nowMs;
    this.#maxEntries = maxEntries;
  }

  /** Whether a size may be news, as far as that is known without the disk. */
  isNews(bytes: number): boolean {
    return bytes > (this.#known?.last?.bytes ?? 0);
  }

  /** Takes down how large the output is. Never rejects: what cannot be written is logged once. */
  async note(seen: TimeEntry): Promise<void> {
    const waitedMs = this.#nowMs() - (this.#refusedAtMs ?? -Infinity);
    if (waitedMs >= 0 && waitedMs < RETRY_MS) return;
    await this.#change(async () => {
      const { last, count } = this.#known ??= await this.#repaired();
      const entry = nextEntry(last, seen, this.#nowMs());
      if (entry === undefined) return;
      if (count >= this.#maxEntries) {
        return await this.#rewrite((await this.#read()).thinned().with(entry));
      }
      const bytes = TimeIndex.of([entry]).format();
      await appendRegular(this.#path, bytes, FILE_MODE);
      this.#known = { last: entry, count: count + 1 };
    });
  }

  /** Forgets the times of bytes that are freed. Never rejects. */
  async forget(firstOffset: number): Promise<void> {
    await this.#change(async () => {
      const index = await this.#read();
      const left = index.withoutHead(firstOffset);
      if (left.count < index.count) await this.#rewrite(left);
    });
  }

  /**
   * The times as they are on disk, and a last entry for what is not there yet.
   *
   * @param seen How large the output is now, and when its file was last changed.
   * @throws When the file cannot be read.
   */
  async load(seen: TimeEntry): Promise<TimeIndex> {
    const index = await this.#read();
    const now = nextEntry(index.last, seen, this.#nowMs());
    return now === undefined ? index : index.with(now);
  }

  /** One change after the other: an entry must not be appended to a file that is being replaced. */
  async #change(change: () => Promise<void>): Promise<void> {
    this.#changed = this.#changed.then(change).then(
      () => {
        this.#refusedAtMs = undefined;
      },
      (error: unknown) => {
        // Half of an entry may have been written. Without its folder, the job is removed.
        this.#known = undefined;
        const isTold = this.#refusedAtMs !== undefined;
        this.#refusedAtMs = this.#nowMs();
        if (isTold || error instanceof Deno.errors.NotFound) return;
        const told = { file: this.#path, error: messageOf(error) };
        log.warn("cannot keep the times of a job's output; the output itself is kept", told);
      },
    );
    await this.#changed;
  }

  /** What the file has, without half of an entry at its end: the next one is to come behind it. */
  async #repaired(): Promise<Known> {
    const file = await this.#readFile();
    const count = Math.floor(file.length / ENTRY_BYTES);
    if (file.length % ENTRY_BYTES > 0) {
      await using opened = await openRegular(this.#path, "change");
      await opened.truncate(count * ENTRY_BYTES);
    }
    return { last: TimeIndex.parse(file).last, count };
  }

  async #rewrite(index: TimeIndex): Promise<void> {
    await replaceFile(this.#path, index.format(), { mode: FILE_MODE });
    this.#known = { last: index.last, count: index.count };
  }

  async #read(): Promise<TimeIndex> {
    return TimeIndex.parse(await this.#readFile());
  }

  async #readFile(): Promise<Uint8Array> {
    try {
      await using file = await openRegular(this.#path);
      return await file.readFully(0, Math.min(await file.size(), MAX_FILE_BYTES));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return new Uint8Array();
      throw error;
    }
  }
}
