/** An input that comes while its job runs: the bytes go to files, from which the job is fed. */
import { pause } from "../../common/pause.ts";
import { isDiskFull, messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { type InputFolder, ring, type Segment } from "./folder.ts";
import { Ledger } from "./ledger.ts";

/** How soon is looked whether the job has read, after it has, and at the longest. */
const MIN_LOOK_MS = 4;
const MAX_LOOK_MS = 250;

/** Each look that finds nothing makes the next interval so many times as long. */
const LOOK_GROWTH = 1.5;

/**
 * The feeder is told at most so often, but of the first bytes after a while at once: each time it starts
 * two programs, which cost more than what they carry.
 */
const RING_MS = 20;

/**
 * So long after bytes were written, the feeder may still find that nobody reads them. It takes some
 * milliseconds, and seconds on a host that is busy.
 */
const FEEDER_MS = 10_000;

/** The input of one job, while somebody sends it. There is only one at a time. */
export class HeldInput implements Disposable {
  readonly #folder: InputFolder;
  readonly #ledger: Ledger;
  readonly #bell: Deno.FsFile | undefined;
  #file: Deno.FsFile | undefined;
  #isUnread: boolean;
  #wroteAtMs = -Infinity;
  #isDiskFull = false;
  #lookMs = MIN_LOOK_MS;
  #rungAtMs = -Infinity;
  /** Rings later. */
  #ringTimer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    folder: InputFolder,
    { ledger, isUnread, bell }: {
      readonly ledger: Ledger;
      readonly isUnread: boolean;
      readonly bell: Deno.FsFile | undefined;
    },
  ) {
    this.#folder = folder;
    this.#bell = bell;
    this.#ledger = ledger;
    this.#isUnread = isUnread;
  }

  /**
   * Finds out what the files hold: an earlier server may have been killed at any step.
   *
   * @param options `rings`: whether the feeder is told, since an earlier server may have died before that.
   * Never more than once for a server: nobody takes from a bell while the job reads nothing.
   * @throws {Deno.errors.NotFound} The files are gone.
   */
  static async open(
    folder: InputFolder,
    { rings }: { readonly rings: boolean },
  ): Promise<HeldInput> {
    const files = await folder.read();
    const { segments, end, isUnread } = files;
    if (end === undefined && segments.length === 0) {
      throw new Deno.errors.NotFound("an input has no segment");
    }
    await removeFed(folder, segments);
    const bell = end === undefined && !isUnread ? await folder.openBell() : undefined;
    if (rings && bell !== undefined) await ring(bell);
    return new HeldInput(folder, { ledger: new Ledger(files), isUnread, bell });
  }

  /** All bytes before this offset are held. */
  get heldBytes(): number {
    return this.#ledger.heldBytes;
  }

  /** Bytes before this offset may be sent. */
  get allowedBytes(): number {
    return this.#ledger.allowedBytes;
  }

  get isEnded(): boolean {
    return this.#ledger.isEnded;
  }

  /** Whether the job reads no more. */
  get isUnread(): boolean {
    return this.#isUnread;
  }

  /** Whether the last bytes, or the end, found no room on the disk. */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /**
   * Whether {@linkcode look} may find that more can be allowed, or that the job reads no more; or another
   * try be of use, where the disk was full.
   */
  get hasNewsToCome(): boolean {
    return performance.now() < this.#wroteAtMs + FEEDER_MS || this.#isDiskFull ||
      this.#ledger.oldestWhole !== undefined;
  }

  /**
   * Appends as many bytes as there is room for in one segment.
   *
   * @returns How many; 0: none now.
   */
  async append(bytes: Uint8Array): Promise<number> {
    const before = this.heldBytes;
    await this.#tryOnDisk(async () => {
      const place = this.#ledger.place();
      if (place === undefined) return;
      if (place.isNew || this.#file === undefined) await this.#openSegment(place);
      // Whatever of it is written is in the ledger before the next write may fail.
      for (let left = bytes.subarray(0, place.room); left.length > 0;) {
        const length = await this.#file?.write(left) ?? 0;
        this.#ledger.wrote(length);
        left = left.subarray(length);
      }
    });
    const written = this.heldBytes - before;
    if (written > 0) this.#wroteAtMs = performance.now();
    if (this.#isDiskFull) this.#ledger.close();
    if (written > 0 || this.#isDiskFull) await this.#ring();
    return written;
  }

  /** Ends the input here, unless the disk is full. */
  async end(): Promise<void> {
    await this.#tryOnDisk(async () => {
      await this.#folder.setEnd(this.heldBytes);
      this.#ledger.end();
    });
    if (this.isEnded) await this.#ring({ isUrgent: true });
  }

  async #tryOnDisk(write: () => Promise<void>): Promise<void> {
    const wasFull = this.#isDiskFull;
    try {
      await write();
      this.#isDiskFull = false;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#isDiskFull = true;
      if (!wasFull) log.warn("the disk is full: a job's input waits", { held: this.heldBytes });
    }
  }

  /** Waits a moment, and looks whether the job has read since. @returns Whether there are news. */
  async look(signal: AbortSignal): Promise<boolean> {
    await pause(this.#lookMs, signal);
    const { isUnread, allowedBytes } = this;
    for (let begin = this.#ledger.oldestWhole; begin !== undefined;) {
      const path = this.#folder.segmentPath(begin);
      if ((await Deno.stat(path)).size > 0) break;
      await Deno.remove(path);
      this.#ledger.fed();
      begin = this.#ledger.oldestWhole;
    }
    if (this.allowedBytes === allowedBytes) this.#isUnread ||= await this.#folder.isUnread();
    const isNews = this.allowedBytes > allowedBytes || this.#isUnread !== isUnread;
    this.#lookMs = isNews ? MIN_LOOK_MS : Math.min(this.#lookMs * LOOK_GROWTH, MAX_LOOK_MS);
    return isNews;
  }

  async #ring({ isUrgent = false } = {}): Promise<void> {
    if (this.#bell === undefined) return;
    const waitMs = isUrgent ? 0 : this.#rungAtMs + RING_MS - performance.now();
    if (waitMs > 0) {
      this.#ringTimer ??= setTimeout(() => this.#ringLater(), waitMs);
      return;
    }
    clearTimeout(this.#ringTimer);
    this.#ringTimer = undefined;
    this.#rungAtMs = performance.now();
    await ring(this.#bell);
  }

  #ringLater(): void {
    this.#ringTimer = undefined;
    void this.#ring({ isUrgent: true }).catch(noteUnrung);
  }

  async #openSegment({ begin, isNew }: { begin: number; isNew: boolean }): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    const options = { append: true, ...(isNew && { createNew: true, mode: 0o600 }) };
    this.#file = await Deno.open(this.#folder.segmentPath(begin), options);
    if (isNew) this.#ledger.made(begin);
  }

  /** Closes the files; what is to be rung later is rung before that. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
    const bell = this.#bell;
    if (this.#ringTimer === undefined) return bell?.close();
    clearTimeout(this.#ringTimer);
    this.#ringTimer = undefined;
    if (bell !== undefined) void ring(bell).catch(noteUnrung).finally(() => bell.close());
  }
}

/** The job reads what it was sent when the next one rings. */
function noteUnrung(error: unknown): void {
  log.warn("cannot tell a job's feeder that input has come", { error: messageOf(error) });
}

/** Segments that were fed while nobody sent. */
async function removeFed(
  folder: InputFolder,
  segments: readonly Segment[],
): Promise<void> {
  for (const { begin, bytes } of segments.slice(0, -1)) {
    if (bytes === 0) await Deno.remove(folder.segmentPath(begin));
  }
}
