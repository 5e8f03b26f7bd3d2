/**
 * The server's own log: what the server reports of itself, one JSON object per line on standard
 * error. It is neither a job's output (lib/logs.ts) nor the audit trail (lib/access/audit.ts).
 *
 * In the systemd journal each line begins with its priority, so that `journalctl -p warning` works.
 *
 * Nothing waits for the reader of standard error: lines wait in a queue, and are dropped and counted
 * where it is full (lib/log/line_queue.ts).
 */
import { fstatSync } from "node:fs";
import { printableJson } from "../common/printable.ts";
import { LineQueue } from "./log/line_queue.ts";
import { standardError } from "./log/standard_error.ts";

/** Values that are logged with a message. Never a key, an environment value or a job's output. */
export type LogFields = Record<string, string | number | boolean | undefined>;

/** Prefixes of lines in the journal: syslog priorities in angle brackets (sd-daemon(3)). */
const PRIORITIES = { info: "<6>", warn: "<4>", error: "<3>" } as const;

/**
 * Whether standard error is the journal's stream: the variable names its device and inode, and is
 * inherited by processes whose standard error has been sent elsewhere (systemd.exec(5)).
 *
 * @param journalStream The variable JOURNAL_STREAM.
 */
export function isJournal(
  journalStream: string | undefined,
  { dev, ino }: { dev: number; ino: number },
): boolean {
  return journalStream === `${dev}:${ino}`;
}

let hasPriorities: boolean | undefined;

function priorityOf(level: keyof typeof PRIORITIES): string {
  hasPriorities ??= isJournal(Deno.env.get("JOURNAL_STREAM"), fstatSync(2));
  return hasPriorities ? PRIORITIES[level] : "";
}

function lineOf(level: keyof typeof PRIORITIES, message: string, fields: LogFields): string {
  const entry = { time: new Date().toISOString(), level, message, ...fields };
  return `${priorityOf(level)}${printableJson(entry)}\n`;
}

/** The lines on their way to standard error. */
export const logQueue: LineQueue = new LineQueue({
  file: standardError,
  droppedLine: (dropped) =>
    lineOf("warn", "lines of this log were dropped: standard error is not read", { dropped }),
});

function write(level: keyof typeof PRIORITIES, message: string, fields: LogFields): void {
  logQueue.add(lineOf(level, message, fields), { mustKeep: level !== "info" });
}

/** Writes entries of three levels. */
export const log = {
  info: (message: string, fields: LogFields = {}) => write("info", message, fields),
  warn: (message: string, fields: LogFields = {}) => write("warn", message, fields),
  error: (message: string, fields: LogFields = {}) => write("error", message, fields),
};
