/**
 * The audit trail: who called what, from where, and how the call ended. One JSON object a line, in
 * files that only the server writes, and in the server's log as well.
 *
 * What changes something has files of its own, so that no number of other calls can wash it out.
 *
 * No call waits for the disk: lines wait in a queue (lib/log/line_queue.ts).
 */
import { isInTime } from "../../common/in_time.ts";
import { printableJson } from "../../common/printable.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { type LineFile, LineQueue } from "../log/line_queue.ts";
import { type AuditEntry, auditEntryOf, isAboutChange } from "./audit_entry.ts";
import { AuditFile } from "./audit_file.ts";
import type { AccessEvent } from "./events.ts";
import { RepeatedEvents } from "./repeated_events.ts";

/** At most one failed write in this time is logged: on a full disk each call would repeat it. */
const FAILURE_LOG_INTERVAL_MS = 60_000;

/** The parts of the trail; each has the same share of its size. */
const PARTS = ["changes", "audit"] as const;

function lineOf({ event, fields, trailFields }: AuditEntry): string {
  const time = new Date().toISOString();
  return `${printableJson({ time, event, ...fields, ...trailFields })}\n`;
}

/** Writes entries in the order of the events. */
export class AuditTrail {
  readonly #changes: Part;
  readonly #others: Part;
  readonly #repeated = new RepeatedEvents(({ entry, last }) => this.#add(entry, last));

  private constructor(changes: Part, others: Part) {
    this.#changes = changes;
    this.#others = others;
  }

  /**
   * @param folder The log directory.
   * @param maxBytes The size of all files together, at most; Infinity: nothing is removed.
   * @throws {Error} The folder or a file cannot be made.
   */
  static async open(folder: string, maxBytes: number): Promise<AuditTrail> {
    const [changes, others] = PARTS;
    const open = async (name: string, isKept: boolean) =>
      new Part(await AuditFile.open(folder, name, maxBytes / PARTS.length, { isKept }));
    return new AuditTrail(await open(changes, true), await open(others, false));
  }

  /**
   * Writes the line of an event soon, also to the server's log. Where it cannot be written, the log
   * says so, and the call goes on. Events that repeat are counted instead.
   */
  record(event: AccessEvent): void {
    const entry = auditEntryOf(event);
    if (entry !== undefined && this.#repeated.hasLine(event)) this.#add(entry, event);
  }

  /**
   * Waits until every line is written.
   *
   * @returns False when the time was over before.
   */
  async flush(timeoutMs: number): Promise<boolean> {
    const parts = [this.#changes, this.#others];
    const written = await Promise.all(parts.map(({ queue }) => queue.flush(timeoutMs)));
    return !written.includes(false);
  }

  /** Writes what is left, and closes the files; where the time is over before, they stay open. */
  async close(timeoutMs: number): Promise<void> {
    this.#repeated.flush();
    await Promise.all([this.#changes, this.#others].map((part) => part.close(timeoutMs)));
  }

  #add(entry: AuditEntry, event: AccessEvent): void {
    log.info(entry.event, entry.fields);
    const part = isAboutChange(event) ? this.#changes : this.#others;
    part.queue.add(lineOf(entry));
  }
}

/** The files of a part of the trail, and the lines that wait for them. */
class Part {
  readonly #file: AuditFile;
  readonly queue: LineQueue;

  constructor(file: AuditFile) {
    this.#file = file;
    this.queue = new LineQueue({
      file: tellingFailures(file),
      droppedLine: (dropped) => lineOf({ event: "lines were dropped", fields: { dropped } }),
      onFull: () =>
        log.error("the audit trail stands still: its disk does not answer; lines are dropped"),
      onRoom: (dropped) =>
        log.warn("the audit trail goes on; the dropped lines are in this log", { dropped }),
    });
  }

  async close(timeoutMs: number): Promise<void> {
    const isWritten = await this.queue.flush(timeoutMs);
    if (isWritten && await isInTime(this.#file.flush(), timeoutMs)) this.#file.close();
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
