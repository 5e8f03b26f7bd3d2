/** The folder of an input that comes while its job runs; lib/shim/feed.sh says what is in it. */
import { join } from "node:path";

/** Below the job's folder. */
const INPUT_FOLDER = "stdin";

const SEGMENT = /^(?:0|[1-9]\d{0,15})$/;
const END = /^end\.(0|[1-9]\d{0,15})$/;

/** Exists when the job no longer reads. */
const UNREAD = "unread";

/** Exists when the job has ended. */
const OVER = "over";

const BELL = "bell";

/** A piece of the input in a file of its own, named by the offset of its first byte. */
export interface Segment {
  readonly begin: number;
  readonly bytes: number;
}

/** What is in the folder. */
export interface InputFiles {
  /** In their order; those in front of the last one that are empty have been fed. */
  readonly segments: readonly Segment[];
  /** Where the input ends, once that is known. */
  readonly end: number | undefined;
  readonly isUnread: boolean;
}

/** The paths in a job's folder. */
export class InputFolder {
  readonly #path: string;

  /** @param jobFolder The job's folder. */
  constructor(jobFolder: string) {
    this.#path = join(jobFolder, INPUT_FOLDER);
  }

  segmentPath(begin: number): string {
    return join(this.#path, String(begin));
  }

  /** Makes it, with an empty first segment. */
  async make(): Promise<void> {
    await Deno.mkdir(this.#path, { mode: 0o700 });
    await this.#touch("0");
  }

  /** @throws {Deno.errors.NotFound} There is none, or it was removed. */
  async read(): Promise<InputFiles> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.#path)) names.push(name);
    const begins = names.filter((name) => SEGMENT.test(name)).map(Number);
    const segments = await Promise.all(
      begins.toSorted((one, other) => one - other).map(async (begin) => ({
        begin,
        bytes: (await Deno.stat(this.segmentPath(begin))).size,
      })),
    );
    const [end] = names.flatMap((name) => END.exec(name)?.[1] ?? []).map(Number);
    return { segments, end, isUnread: names.includes(UNREAD) };
  }

  async isUnread(): Promise<boolean> {
    return await Deno.stat(join(this.#path, UNREAD)).then(() => true, () => false);
  }

  /** Puts the end of the input on record. */
  async setEnd(offset: number): Promise<void> {
    await this.#touch(`end.${offset}`);
  }

  /**
   * Opens the bell, by which the feeder is told that something is new: a byte is written. A pipe that is open
   * in both directions waits for nobody.
   */
  async openBell(): Promise<Deno.FsFile> {
    return await Deno.open(join(this.#path, BELL), { read: true, write: true });
  }

  /** Frees what a job that has ended did not read. How much had come stays known. */
  async clear(): Promise<void> {
    const { segments, end } = await this.read();
    await this.#touch(OVER);
    if (end === undefined) await this.setEnd(heldBytesOf({ segments, end }));
    for (const { begin } of segments) await Deno.remove(this.segmentPath(begin));
    using bell = await this.openBell();
    await ring(bell);
  }

  async #touch(name: string): Promise<void> {
    (await Deno.open(join(this.#path, name), { write: true, create: true, mode: 0o600 })).close();
  }
}

/** How much of an input is there: all bytes before this offset, whether fed or not. */
export function heldBytesOf({ segments, end }: Pick<InputFiles, "segments" | "end">): number {
  const last = segments.at(-1);
  return end ?? (last === undefined ? 0 : last.begin + last.bytes);
}

/** Rings the bell. */
export async function ring(bell: Deno.FsFile): Promise<void> {
  await bell.write(Uint8Array.of(10));
}
