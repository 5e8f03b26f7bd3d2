/** Keeps the server's own log off the test's output, so that a test can look at it. */
import { logQueue } from "../../lib/log.ts";

/** A line of the log. */
export interface LogEntry {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Takes what is logged until it is disposed of. */
export class CapturedLog implements Disposable {
  readonly entries: LogEntry[] = [];
  /** The same as they were written. */
  readonly texts: string[] = [];
  readonly #add = logQueue.add;

  constructor() {
    logQueue.add = (line) => {
      this.texts.push(line);
      this.entries.push(JSON.parse(line.replace(/^<\d>/, "")) as LogEntry);
    };
  }

  /** The messages of a level, or of all, in order. */
  messages(level?: "info" | "warn" | "error"): string[] {
    return this.entries.filter((entry) => level === undefined || entry.level === level)
      .map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    logQueue.add = this.#add;
  }
}
