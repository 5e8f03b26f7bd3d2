import { ClientError, ClosedOutputError, messageOf, oneLine } from "./errors.ts";
import { ExitStatus } from "./exit_status.ts";

/** All that the client has of the world around it, so that tests can stand in its place. */
export interface Terminal {
  /**
   * Writes all bytes to standard output before it returns.
   *
   * @throws {ClosedOutputError} Nobody reads any more.
   * @throws {ClientError} They cannot be written (a full disk).
   */
  write(bytes: Uint8Array): void;
  /** Whether somebody sees what is noted: standard error is a terminal. */
  readonly isAttended: boolean;
  /** How many columns standard output has; undefined where it is no terminal. */
  readonly columns: number | undefined;
  /** Whether it shows more than ASCII, by the locale's encoding. */
  readonly isUnicode: boolean;
  /** How many lines it has. */
  readonly rows: number | undefined;
  /**
   * Calls the listener for each key that is pressed, without waiting for a whole line.
   *
   * @returns A function that takes the listener away again.
   */
  onKey(listener: (key: string) => void): () => void;
  /**
   * Calls the listener each time the terminal has got another size.
   *
   * @returns A function that takes the listener away again.
   */
  onResize(listener: () => void): () => void;
  /**
   * What is in a file, or comes from standard input where its name is `-`.
   *
   * @param limitBytes No more than so many, and what was read with them, are kept in memory.
   */
  read(file: string, options?: { limitBytes?: number }): Promise<Uint8Array>;
  /** Whether standard input is a terminal: somebody has to type it. */
  readonly isTyped: boolean;
  /** Writes one line of ours to standard error. */
  note(text: string): void;
  /** Whether standard output is a file, so that nobody sees what comes into it. */
  isFile(): Promise<boolean>;
  /** Puts a line on standard error in the place of the one before; an empty one takes it away. */
  showProgress(text: string): void;
  /** The value of an environment variable; an empty one counts as not set. */
  environment(name: string): string | undefined;
  /**
   * Calls the listener for each SIGINT and SIGTERM, which then no longer end the process.
   *
   * @returns A function that takes the listener away again.
   */
  onInterrupt(listener: () => void): () => void;
  /** Gives up the permission to write files, for good. */
  dropWritePermission(): void;
}

/** A writer as `Deno.stdout` is one. */
interface SyncWriter {
  writeSync(bytes: Uint8Array): number;
}

/** How long to wait for room in a pipe that another process made non-blocking. */
const PIPE_RETRY_MS = 5;

/**
 * Writes all bytes, however few the other end takes at once.
 *
 * It blocks on purpose: while nobody takes our output nothing is read from the server, so a slow
 * reader holds back the server instead of filling this process's memory.
 *
 * @throws {ClosedOutputError} The other end is closed (EPIPE).
 * @throws {ClientError} The bytes cannot be written, for instance to a full disk.
 */
export function writeFully(writer: SyncWriter, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writer.writeSync(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new ClosedOutputError();
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new ClientError(
          `Cannot write to standard output: ${messageOf(error)}. Make room, or write elsewhere.`,
          ExitStatus.failed,
        );
      }
      sleepSync(PIPE_RETRY_MS);
    }
  }
}

function sleepSync(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

function consoleSize(): { columns: number; rows: number } | undefined {
  try {
    if (!Deno.stdout.isTerminal()) return undefined;
    const { columns, rows } = Deno.consoleSize();
    // A terminal that nobody has told its size says 0.
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    // A terminal that cannot say how wide it is.
    return undefined;
  }
}

/** Back to the line's beginning, and clear it (ECMA-48). */
const CLEAR_LINE = "\r\x1b[K";

/** Whether a line of progress stands on standard error. */
let hasProgress = false;

/** The terminal of the process itself. */
export const processTerminal: Terminal = {
  write(bytes) {
    writeFully(Deno.stdout, bytes);
  },
  get isAttended() {
    return Deno.stderr.isTerminal();
  },
  get columns() {
    return consoleSize()?.columns;
  },
  get rows() {
    return consoleSize()?.rows;
  },
  get isUnicode() {
    const { environment } = processTerminal;
    // The first that is set decides (POSIX, "Locale"); where none is, UTF-8 is what terminals speak.
    const locale = environment("LC_ALL") ?? environment("LC_CTYPE") ?? environment("LANG");
    return locale === undefined || /utf-?8/i.test(locale);
  },
  onKey(listener) {
    if (!Deno.stdin.isTerminal()) return () => {};
    // Ctrl-C stays a signal.
    Deno.stdin.setRaw(true, { cbreak: true });
    const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
    (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        for (const key of value) listener(key);
      }
    })().catch(() => {
      // The terminal is gone; whoever waits for a key hears of it by SIGHUP.
    });
    // A screen that is drawn on cannot be left from here when Ctrl-Z stops the process (that takes a
    // signal to oneself, which this program may not send): better it does nothing. It stays so to the
    // program's end: a Ctrl-Z right before the last key can be delivered after it.
    Deno.addSignalListener("SIGTSTP", () => {});
    return () => Deno.stdin.setRaw(false);
  },
  onResize(listener) {
    Deno.addSignalListener("SIGWINCH", listener);
    return () => Deno.removeSignalListener("SIGWINCH", listener);
  },
  async read(file, { limitBytes = Infinity } = {}) {
    const source = file === "-" ? Deno.stdin : await Deno.open(file);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for await (const part of source.readable) {
      parts.push(part);
      length += part.length;
      // Such as /dev/zero or the output of `yes` never end.
      if (length > limitBytes) break;
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  },
  get isTyped() {
    return Deno.stdin.isTerminal();
  },
  note(text) {
    try {
      const clear = hasProgress ? CLEAR_LINE : "";
      hasProgress = false;
      writeFully(
        Deno.stderr,
        new TextEncoder().encode(`${clear}worker-client: ${oneLine(text)}\n`),
      );
    } catch {
      // There is no place left to say that there is no place left to say something.
    }
  },
  async isFile() {
    // Loaded by whoever asks: it would be a tenth of a short call.
    const { fstatSync } = await import("node:fs");
    try {
      return fstatSync(1).isFile();
    } catch {
      // A standard output that is closed, or tells nothing of itself.
      return false;
    }
  },
  showProgress(text) {
    if (text === "" && !hasProgress) return;
    try {
      writeFully(Deno.stderr, new TextEncoder().encode(CLEAR_LINE + text));
      hasProgress = text !== "";
    } catch {
      // Progress that cannot be shown is no reason to stop.
    }
  },
  environment(name) {
    return Deno.env.get(name) || undefined;
  },
  onInterrupt(listener) {
    const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
    for (const signal of signals) Deno.addSignalListener(signal, listener);
    return () => {
      for (const signal of signals) Deno.removeSignalListener(signal, listener);
    };
  },
  dropWritePermission() {
    Deno.permissions.revokeSync({ name: "write" });
  },
};
