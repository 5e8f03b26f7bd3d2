/** Files of the audit trail: the newest lines, within a bound. */
import { join } from "node:path";
import { concatenate } from "../../common/bytes.ts";
import { isDiskFull, messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { LineFile } from "../log/line_queue.ts";
import { AuditReserve } from "./audit_reserve.ts";
import { LaterSync } from "./later_sync.ts";

/** Below the log directory. */
const FOLDER = "audit";

/** In the log directory, where files are to be kept also when the disk is full. */
const RESERVE_FILE = "audit-reserve";

/** The number of files; when they have grown too large, the oldest one is removed. */
const FILES = 8;

const NEWLINE = 0x0a;

/**
 * Appends lines, and keeps the newest. Each step is done beside the server's thread, so that a disk
 * that hangs holds up nothing else.
 */
export class AuditFile implements LineFile {
  readonly #folder: string;
  readonly #name: string;
  readonly #maxFileBytes: number;
  readonly #reserve: AuditReserve | undefined;
  readonly #laterSync: LaterSync | undefined;
  #file: Deno.FsFile | undefined;
  #bytes = 0;
  #hasToldSync = false;

  private constructor(folder: string, name: string, maxBytes: number, isKept: boolean) {
    this.#folder = join(folder, FOLDER);
    this.#name = name;
    this.#maxFileBytes = maxBytes / FILES;
    if (!isKept) return;
    this.#reserve = new AuditReserve(join(folder, RESERVE_FILE));
    this.#laterSync = new LaterSync(() => this.#sync());
  }

  /**
   * @param folder The log directory.
   * @param name The file `NAME.jsonl` is written to; older ones are `NAME.1.jsonl` to `NAME.7.jsonl`,
   * newest first.
   * @param maxBytes The size of all files together, at most; Infinity: nothing is removed.
   * @param options `isKept`: lines are on the disk a second later, and have room kept on it.
   * @throws {Error} The folder or the file cannot be made.
   */
  static async open(
    folder: string,
    name: string,
    maxBytes: number,
    { isKept = false } = {},
  ): Promise<AuditFile> {
    const file = new AuditFile(folder, name, maxBytes, isKept);
    await file.#insist(() => Deno.mkdir(file.#folder, { recursive: true, mode: 0o700 }));
    await file.#insist(() => file.#open());
    await file.#reserve?.take();
    return file;
  }

  /** @throws {Error} Some of the lines could not be written; none of them is left in part. */
  async write(lines: readonly Uint8Array[]): Promise<void> {
    if (await this.#hasMoved()) this.close();
    for (let written = 0; written < lines.length;) {
      if (this.#file === undefined) await this.#insist(() => this.#open());
      if (this.#bytes > 0 && !this.#fits(lines[written])) {
        await this.#laterSync?.flush();
        await this.#insist(() => this.#rotate());
      }
      const part = this.#firstOf(lines.slice(written));
      await this.#insist(() => this.#append(concatenate(part)));
      this.#laterSync?.written();
      written += part.length;
    }
    await this.#reserve?.take();
  }

  /** Brings to the disk what has been written, where that is asked for. Never rejects. */
  async flush(): Promise<void> {
    await this.#laterSync?.flush();
  }

  /** Closes the file; {@linkcode flush} is to come before. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Does what a full disk refuses once more, in the room that was kept for it. */
  async #insist(change: () => Promise<unknown>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (this.#reserve === undefined || !isDiskFull(error)) throw error;
      await this.#reserve.release();
      await change();
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#file?.syncData();
      this.#hasToldSync = false;
    } catch (error) {
      if (this.#hasToldSync) return;
      this.#hasToldSync = true;
      log.error("cannot bring the audit trail to the disk: a power cut would take its last lines", {
        error: messageOf(error),
      });
    }
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
      try {
        await Deno.rename(this.#pathOf(file - 1), this.#pathOf(file));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await this.#open();
  }

  /** @param age 0: the file that is written to. */
  #pathOf(age: number): string {
    return join(this.#folder, age === 0 ? `${this.#name}.jsonl` : `${this.#name}.${age}.jsonl`);
  }

  /** Whether somebody has moved or removed the file: lines would be written to nobody's file. */
  async #hasMoved(): Promise<boolean> {
    if (this.#file === undefined) return false;
    const there = await Deno.stat(this.#pathOf(0)).catch(() => undefined);
    const { ino, dev } = await this.#file.stat();
    return there?.ino !== ino || there.dev !== dev;
  }

  async #open(): Promise<Deno.FsFile> {
    const path = this.#pathOf(0);
    const file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
    this.#bytes = (await file.stat()).size;
    this.#file = file;
    // A power cut may have left a part of a line: the next one must not stand behind it.
    if (this.#bytes > 0 && await lastByteOf(path, this.#bytes) !== NEWLINE) {
      await this.#append(new Uint8Array([NEWLINE]));
    }
    return file;
  }
}

async function lastByteOf(path: string, bytes: number): Promise<number | undefined> {
  using file = await Deno.open(path);
  await file.seek(bytes - 1, Deno.SeekMode.Start);
  const last = new Uint8Array(1);
  return await file.read(last) === 1 ? last[0] : undefined;
}
