/** An input that comes while its job runs: the bytes go to files, from which the job is fed. */
import { pause } from "../../common/pause.ts";
import { isDiskFull } from "../errors.ts";
import { log } from "../log.ts";
import { type InputFolder, ring, type Segment } from "./folder.ts";
import { Ledger } from "./ledger.ts";

/** How soon a full disk is tried again. */
const DISK_RETRY_MS = 500;

/** How soon is looked whether the job has read, after it has, and at the longest. */
const MIN_LOOK_MS = 3;
const MAX_LOOK_MS = 250;

/** Each look that finds nothing makes the next interval so many times as long. */
const LOOK_GROWTH = 1.25;

/** The input of one job, while somebody sends it. There is only one at a time. */
export class HeldInput implements Disposable {
  readonly #folder: InputFolder;
  readonly #ledger: Ledger;
  readonly #bell: Deno.FsFile | undefined;
  #file: Deno.FsFile | undefined;
  #isUnread: boolean;
  /** Whether something was written since the last look. */
  #hasWritten = false;
  #lookMs = MIN_LOOK_MS;

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

  /** Whether {@linkcode look} may find that more can be allowed, or that the job reads no more. */
  get hasNewsToCome(): boolean {
    return this.#hasWritten || this.#ledger.oldestWhole !== undefined;
  }

  /**
   * Appends as many bytes as there is room for in one segment. On a full disk it waits until there is room.
   *
   * @returns How many; 0: none now.
   */
  async append(bytes: Uint8Array, signal: AbortSignal): Promise<number> {
    const place = this.#ledger.place();
    if (place === undefined) return 0;
    if (place.isNew || this.#file === undefined) await this.#openSegment(place);
    const file = this.#file;
    if (file === undefined) throw new Error("an input has no file");
    const piece = bytes.subarray(0, place.room);
    let written = 0;
    let isTold = false;
    while (written < piece.length && !signal.aborted) {
      try {
        const length = await file.write(piece.subarray(written));
        written += length;
        this.#ledger.wrote(length);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        if (!isTold) log.warn("the disk is full: a job's input waits", { held: this.heldBytes });
        isTold = true;
        await pause(DISK_RETRY_MS, signal);
      }
    }
    if (written > 0) await this.#ring();
    this.#hasWritten ||= written > 0;
    return written;
  }

  /** Ends the input here. */
  async end(): Promise<void> {
    await this.#folder.setEnd(this.heldBytes);
    this.#ledger.end();
    await this.#ring();
  }

  /** Waits a moment, and looks whether the job has read since. @returns Whether there are news. */
  async look(signal: AbortSignal): Promise<boolean> {
    await pause(this.#lookMs, signal);
    this.#hasWritten = false;
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

  async #ring(): Promise<void> {
    if (this.#bell !== undefined) await ring(this.#bell);
  }

  async #openSegment({ begin, isNew }: { begin: number; isNew: boolean }): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    const options = { append: true, ...(isNew && { createNew: true, mode: 0o600 }) };
    this.#file = await Deno.open(this.#folder.segmentPath(begin), options);
    if (isNew) this.#ledger.made(begin);
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#bell?.close();
    this.#file?.close();
    this.#file = undefined;
  }
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
