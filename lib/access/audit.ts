/**
 * The audit trail: who called what, from where, and what came of it. One JSON object a line, in files
 * of the server's own that no job writes to, besides the server's log.
 */
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { log, type LogFields } from "../log.ts";

/** Below the log directory. */
const FOLDER = "audit";

/** The file that is written to; older ones are `audit.1.jsonl` and on, the newest first. */
const FILE = "audit.jsonl";

/** The trail is cut off a piece at a time, the oldest first. */
const PIECES = 8;

/** A disk that is full is told of once in so long: each call would say the same. */
const COMPLAINT_INTERVAL_MS = 60_000;

const encoder = new TextEncoder();

/** Takes entries, and keeps the newest. */
export class AuditTrail {
  readonly #folder: string;
  readonly #pieceBytes: number;
  /** Told of each entry. */
  onEntry: (event: string, fields: LogFields) => void = () => {};
  #file: Deno.FsFile | undefined;
  #bytes = 0;
  #nextComplaintMs = -Infinity;

  /**
   * @param folder The log directory.
   * @param maxBytes What the files may take on disk together; Infinity: nothing is cut off.
   * @throws {Error} The folder or the file cannot be made.
   */
  constructor(folder: string, maxBytes: number) {
    this.#folder = join(folder, FOLDER);
    this.#pieceBytes = maxBytes / PIECES;
    Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#open();
  }

  /**
   * Adds an entry, also to the server's log. It is in the file when this returns; where it cannot
   * be, the log says so, and the call is not held up.
   *
   * @param event What happened, such as `call`.
   * @param fields Never a key, an environment value, an argument or output.
   */
  add(event: string, fields: LogFields): void {
    log.info(event, fields);
    this.onEntry(event, fields);
    const entry = { time: new Date().toISOString(), event, ...fields };
    try {
      this.#write(encoder.encode(`${JSON.stringify(entry)}\n`));
    } catch (error) {
      const nowMs = performance.now();
      if (nowMs < this.#nextComplaintMs) return;
      this.#nextComplaintMs = nowMs + COMPLAINT_INTERVAL_MS;
      log.error("cannot write the audit trail; this log has what is missing", {
        error: messageOf(error),
      });
    }
  }

  /** Only tells of an entry that is not worth a line: it would come again and again. */
  pass(event: string, fields: LogFields): void {
    this.onEntry(event, fields);
  }

  /** Closes the file. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #write(line: Uint8Array): void {
    if (this.#bytes > 0 && this.#bytes + line.length > this.#pieceBytes) this.#rotate();
    const file = this.#file ?? this.#open();
    for (let written = 0; written < line.length;) written += file.writeSync(line.subarray(written));
    this.#bytes += line.length;
  }

  #rotate(): void {
    this.close();
    for (let piece = PIECES - 1; piece >= 1; piece--) {
      const older = join(this.#folder, piece === 1 ? FILE : `audit.${piece - 1}.jsonl`);
      try {
        Deno.renameSync(older, join(this.#folder, `audit.${piece}.jsonl`));
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
