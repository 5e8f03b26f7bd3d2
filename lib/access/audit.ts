/**
 * The audit trail: who called what, from where, and how the call ended. One JSON object a line, in
 * files that only the server writes, and in the server's log as well.
 */
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { auditEntryOf } from "./audit_entry.ts";
import type { AccessEvent } from "./events.ts";

/** Below the log directory. */
const FOLDER = "audit";

/** The file that is written to; older ones are `audit.1.jsonl` to `audit.7.jsonl`, newest first. */
const FILE = "audit.jsonl";

/** The number of files; when the trail has grown too large, the oldest file is removed. */
const FILES = 8;

/** At most one failed write in this time is logged: on a full disk each call would repeat it. */
const FAILURE_LOG_INTERVAL_MS = 60_000;

const encoder = new TextEncoder();

/** Writes entries, and keeps the newest. */
export class AuditTrail {
  readonly #folder: string;
  readonly #maxFileBytes: number;
  #file: Deno.FsFile | undefined;
  #bytes = 0;
  #nextFailureLogMs = -Infinity;

  /**
   * @param folder The log directory.
   * @param maxBytes The size of all files together, at most; Infinity: nothing is removed.
   * @throws {Error} The folder or the file cannot be made.
   */
  constructor(folder: string, maxBytes: number) {
    this.#folder = join(folder, FOLDER);
    this.#maxFileBytes = maxBytes / FILES;
    Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#open();
  }

  /**
   * Writes the line of an event, also to the server's log. The line is in the file when this
   * returns; where it cannot be written, the log says so, and the call goes on.
   */
  record(reported: AccessEvent): void {
    const line = auditEntryOf(reported);
    if (line === undefined) return;
    const { event, fields } = line;
    log.info(event, fields);
    const entry = { time: new Date().toISOString(), event, ...fields };
    try {
      this.#write(encoder.encode(`${JSON.stringify(entry)}\n`));
    } catch (error) {
      const nowMs = performance.now();
      if (nowMs < this.#nextFailureLogMs) return;
      this.#nextFailureLogMs = nowMs + FAILURE_LOG_INTERVAL_MS;
      log.error("cannot write the audit trail; the missing lines are in this log", {
        error: messageOf(error),
      });
    }
  }

  /** Closes the file. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #write(line: Uint8Array): void {
    if (this.#bytes > 0 && this.#bytes + line.length > this.#maxFileBytes) this.#rotate();
    const file = this.#file ?? this.#open();
    for (let written = 0; written < line.length;) written += file.writeSync(line.subarray(written));
    this.#bytes += line.length;
  }

  #rotate(): void {
    this.close();
    for (let file = FILES - 1; file >= 1; file--) {
      const older = join(this.#folder, file === 1 ? FILE : `audit.${file - 1}.jsonl`);
      try {
        Deno.renameSync(older, join(this.#folder, `audit.${file}.jsonl`));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  #open(): Deno.FsFile {
    const path = join(this.#folder, FILE);
    const file = Deno.openSync(path, { append: true, create: true, mode: 0o600 });
    this.#file = file;
    this.#bytes = file.statSync().size;
    return file;
  }
}
