/**
 * The server's own log: one JSON object a line on standard error, which every log collector reads.
 * The journal is told each line's priority before it, so that `journalctl -p warning` works.
 */
import { fstatSync } from "node:fs";

/** Values that are logged beside a message. Never a key, an environment value or a job's output. */
export type LogFields = Record<string, string | number | boolean | undefined>;

/** What stands before a line in the journal: syslog's numbers in angle brackets (sd-daemon(3)). */
const PRIORITIES = { info: "<6>", warn: "<4>", error: "<3>" } as const;

const encoder = new TextEncoder();

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

function write(level: keyof typeof PRIORITIES, message: string, fields: LogFields): void {
  const entry = { time: new Date().toISOString(), level, message, ...fields };
  try {
    Deno.stderr.writeSync(encoder.encode(`${priorityOf(level)}${JSON.stringify(entry)}\n`));
  } catch {
    // Whoever read the log is gone. The server's work matters more than its log.
  }
}

/** Writes entries of three levels. */
export const log = {
  info: (message: string, fields: LogFields = {}) => write("info", message, fields),
  warn: (message: string, fields: LogFields = {}) => write("warn", message, fields),
  error: (message: string, fields: LogFields = {}) => write("error", message, fields),
};
