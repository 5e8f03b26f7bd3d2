/**
 * The audit trail: who called what, from where, and how the call ended. One JSON object a line, in
 * files that only the server writes, and in the server's log as well.
 *
 * No call waits for the disk: lines wait in a queue (lib/log/line_queue.ts).
 */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { type LineFile, LineQueue } from "../log/line_queue.ts";
import { type AuditEntry, auditEntryOf, mustKeepLineOf } from "./audit_entry.ts";
import { AuditFile } from "./audit_file.ts";
import type { AccessEvent } from "./events.ts";

/** At most one failed write in this time is logged: on a full disk each call would repeat it. */
const FAILURE_LOG_INTERVAL_MS = 60_000;

function lineOf({ event, fields }: AuditEntry): string {
  return `${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`;
}

/** Writes entries in the order of the events. */
export class AuditTrail {
  readonly #file: AuditFile;
  readonly #queue: LineQueue;

  private constructor(file: AuditFile) {
    this.#file = file;
    this.#queue = new LineQueue({
      file: tellingFailures(file),
      droppedLine: (dropped) => lineOf({ event: "lines were dropped", fields: { dropped } }),
      onFull: () =>
        log.error("the audit trail stands still: its disk does not answer; lines are dropped"),
      onRoom: (dropped) =>
        log.warn("the audit trail goes on; the dropped lines are in this log", { dropped }),
    });
  }

  /**
   * @param folder The log directory.
   * @param maxBytes The size of all files together, at most; Infinity: nothing is removed.
   * @throws {Error} The folder or the file cannot be made.
   */
  static async open(folder: string, maxBytes: number): Promise<AuditTrail> {
    return new AuditTrail(await AuditFile.open(folder, maxBytes));
  }

  /**
   * Writes the line of an event soon, also to the server's log. Where it cannot be written, the log
   * says so, and the call goes on. Calls that may change something keep their lines when others
   * lose theirs, because the file stands still.
   */
  record(event: AccessEvent): void {
    const entry = auditEntryOf(event);
    if (entry === undefined) return;
    log.info(entry.event, entry.fields);
    this.#queue.add(lineOf(entry), { mustKeep: mustKeepLineOf(event) });
  }

  /**
   * Waits until every line is written.
   *
   * @returns False when the time was over before.
   */
  flush(timeoutMs: number): Promise<boolean> {
    return this.#queue.flush(timeoutMs);
  }

  /** Writes what is left, and closes the file; where the time is over before, it stays open. */
  async close(timeoutMs: number): Promise<void> {
    if (await this.flush(timeoutMs)) this.#file.close();
  }
}

/** The same file; now and then a failed write is logged. */
function tellingFailures(file: LineFile): LineFile {
  let nextLogMs = -Infinity;
  return {
    async write(lines) {
      try {
        await file.write(lines);
      } catch (error) {
        const nowMs = performance.now();
        if (nowMs >= nextLogMs) {
          nextLogMs = nowMs + FAILURE_LOG_INTERVAL_MS;
          log.error("cannot write the audit trail; the missing lines are in this log", {
            error: messageOf(error),
          });
        }
        throw error;
      }
    },
  };
}
