/** The files of the audit trail: the newest lines, within a bound. */
import { join } from "node:path";
import { concatenate } from "../../common/bytes.ts";
import type { LineFile } from "../log/line_queue.ts";

/** Below the log directory. */
const FOLDER = "audit";

/** The file that is written to; older ones are `audit.1.jsonl` to `audit.7.jsonl`, newest first. */
const FILE = "audit.jsonl";

/** The number of files; when the trail has grown too large, the oldest file is removed. */
const FILES = 8;

/**
 * Appends lines, and keeps the newest. Each step is done beside the server's thread, so that a disk
 * that hangs holds up nothing else.
 */
export class AuditFile implements LineFile {
  readonly #folder: string;
  readonly #maxFileBytes: number;
  #file: Deno.FsFile | undefined;
  #bytes = 0;

  private constructor(folder: string, maxBytes: number) {
    this.#folder = join(folder, FOLDER);
    this.#maxFileBytes = maxBytes / FILES;
  }

  /**
   * @param folder The log directory.
   * @param maxBytes The size of all files together, at most; Infinity: nothing is removed.
   * @throws {Error} The folder or the file cannot be made.
   */
  static async open(folder: string, maxBytes: number): Promise<AuditFile> {
    const file = new AuditFile(folder, maxBytes);
    await Deno.mkdir(file.#folder, { recursive: true, mode: 0o700 });
    await file.#open();
    return file;
  }

  /** @throws {Error} Some of the lines could not be written; none of them is left in part. */
  async write(lines: readonly Uint8Array[]): Promise<void> {
    for (let written = 0; written < lines.length;) {
      if (this.#bytes > 0 && !this.#fits(lines[written])) await this.#rotate();
      const part = this.#firstOf(lines.slice(written));
      await this.#append(concatenate(part));
      written += part.length;
    }
  }

  /** Closes the file. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #fits(line: Uint8Array | undefined): boolean {
    return this.#bytes + (line?.length ?? 0) <= this.#maxFileBytes;
  }

  /** As many lines as the file has room for, and at least one. */
  #firstOf(lines: readonly Uint8Array[]): readonly Uint8Array[] {
    let bytes = this.#bytes;
    const end = lines.findIndex((line, index) =>
      (bytes += line.length) > this.#maxFileBytes && index > 0
    );
    return end === -1 ? lines : lines.slice(0, end);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const file = this.#file ?? await this.#open();
    try {
      for (let written = 0; written < bytes.length;) {
        written += await file.write(bytes.subarray(written));
      }
    } catch (error) {
      // On a full disk a part may have been written; the next line must not stand behind it.
      await file.truncate(this.#bytes).catch(() => {});
      throw error;
    }
    this.#bytes += bytes.length;
  }

  async #rotate(): Promise<void> {
    this.close();
    for (let file = FILES - 1; file >= 1; file--) {
      const older = join(this.#folder, file === 1 ? FILE : `audit.${file - 1}.jsonl`);
      try {
        await Deno.rename(older, join(this.#folder, `audit.${file}.jsonl`));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await this.#open();
  }

  async #open(): Promise<Deno.FsFile> {
    const path = join(this.#folder, FILE);
    const file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
    this.#bytes = (await file.stat()).size;
    return this.#file = file;
  }
}
