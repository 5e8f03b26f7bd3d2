/** Keeps the server's own log off the test's output, so that a test can look at it. */

/** A line of the log. */
export interface LogEntry {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Takes what is logged until it is disposed of. */
export class CapturedLog implements Disposable {
  readonly entries: LogEntry[] = [];
  readonly #write = Deno.stderr.writeSync;

  constructor() {
    Deno.stderr.writeSync = (bytes) => {
      const line = new TextDecoder().decode(bytes).replace(/^<\d>/, "");
      this.entries.push(JSON.parse(line) as LogEntry);
      return bytes.length;
    };
  }

  /** The messages of a level, or of all, in order. */
  messages(level?: "info" | "warn" | "error"): string[] {
    return this.entries.filter((entry) => level === undefined || entry.level === level)
      .map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    Deno.stderr.writeSync = this.#write;
  }
}
