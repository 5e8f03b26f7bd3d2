import { CTRL_C, processSignals } from "../common/process_signals.ts";
import { isStandardInput } from "../common/standard_input.ts";
import { ClientError, ClosedOutputError, messageOf, oneLine } from "./errors.ts";
import { ExitStatus } from "./exit_status.ts";

/** Everything that the client uses of its process, so that tests can replace it. */
export interface Terminal {
  /**
   * Writes all bytes to standard output before it returns.
   *
   * @throws {ClosedOutputError} The reader has closed it.
   * @throws {ClientError} They cannot be written (a full disk).
   */
  write(bytes: Uint8Array): void;
  /** The same to standard error. */
  writeError(bytes: Uint8Array): void;
  /** Whether standard error is a terminal. */
  readonly isAttended: boolean;
  /** How many columns standard output has; undefined where it is not a terminal. */
  readonly columns: number | undefined;
  /** Whether it can show more than ASCII, by the locale's encoding. */
  readonly isUnicode: boolean;
  /** Whether it shows colours, and the user wants them (NO_COLOR). */
  readonly hasColours: boolean;
  /** How many lines it has. */
  readonly rows: number | undefined;
  /**
   * Calls the listener for each key that is pressed, without waiting for a whole line.
   *
   * @returns A function that removes the listener.
   */
  onKey(listener: (key: string) => void): () => void;
  /**
   * Calls the listener each time the terminal changes its size.
   *
   * @returns A function that removes the listener.
   */
  onResize(listener: () => void): () => void;
  /**
   * The content of a file, or of standard input where the name is `-` or `/dev/stdin`.
   *
   * @param limitBytes Reading ends with the piece that exceeds this number.
   */
  read(file: string, options?: { limitBytes?: number }): Promise<Uint8Array>;
  /** Standard input, as it comes; nothing is read before it is asked for. */
  input(): AsyncIterable<Uint8Array>;
  /** Whether standard input is a terminal. */
  readonly isTyped: boolean;
  /**
   * Asks on standard error, and reads a line of standard input; both are terminals.
   *
   * @returns The line; empty at the end of the input.
   */
  ask(question: string): Promise<string>;
  /** Writes one line to standard error, after the program's name. */
  note(text: string): void;
  /** Whether standard output is a regular file. */
  isFile(): Promise<boolean>;
  /** Whether standard input is a pipe, or a file with something in it: somebody may mean it to be read. */
  isFed(): Promise<boolean>;
  /** Replaces the progress line on standard error; an empty text removes it. */
  showProgress(text: string): void;
  /**
   * The value of an environment variable; an empty one counts as not set.
   *
   * @throws {ClientError} It is not UTF-8.
   */
  environment(name: string): string | undefined;
  /**
   * Calls the listener for each SIGINT and SIGTERM (where there are no signals: Ctrl-C and
   * Ctrl-Break), which then no longer end the process.
   *
   * @returns A function that removes the listener.
   */
  onInterrupt(listener: () => void): () => void;
  /** Drops the permission to write files; it cannot be regained. */
  dropWritePermission(): void;
}

/** The part of `Deno.stdout` that is used. */
interface SyncWriter {
  writeSync(bytes: Uint8Array): number;
}

/** How much is read from standard input at once. */
const INPUT_BYTES = 128 * 1024;

/** The time between two tries to write to a full pipe that another process made non-blocking. */
const PIPE_RETRY_MS = 5;

/**
 * Writes all bytes, however few the other end accepts at once.
 *
 * It blocks on purpose: while the output is not consumed nothing is read from the server, so a slow
 * reader slows down the server instead of filling this process's memory.
 *
 * @throws {ClosedOutputError} The other end is closed (EPIPE).
 * @throws {ClientError} The bytes cannot be written, for instance to a full disk.
 */
export function writeFully(
  writer: SyncWriter,
  bytes: Uint8Array,
  name = "standard output",
): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writer.writeSync(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new ClosedOutputError();
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new ClientError(
          `Cannot write to ${name}: ${messageOf(error)}. Free some space, or write elsewhere.`,
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
    // A terminal without a configured size reports 0.
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    // The terminal does not report its size.
    return undefined;
  }
}

/** What this system tells its programs. */
const SIGNALS = processSignals(Deno.build.os);

/** Those who want to know that the user asks the program to end. */
const interruptListeners = new Set<() => void>();

/** Return to the beginning of the line and clear it (ECMA-48). */
const CLEAR_LINE = "\r\x1b[K";

/** Whether standard error shows a progress line. */
let hasProgress = false;

/** The terminal of the process itself. */
export const processTerminal: Terminal = {
  write(bytes) {
    writeFully(Deno.stdout, bytes);
  },
  writeError(bytes) {
    writeFully(Deno.stderr, bytes, "standard error");
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
    try {
      // The first that is set decides (POSIX, "Locale"); without any, terminals use UTF-8.
      const locale = environment("LC_ALL") ?? environment("LC_CTYPE") ?? environment("LANG");
      return locale === undefined || /utf-?8/i.test(locale);
    } catch {
      // A locale whose name is not text is none.
      return false;
    }
  },
  get hasColours() {
    const { environment } = processTerminal;
    try {
      if (environment("NO_COLOR") !== undefined || environment("TERM") === "dumb") return false;
    } catch {
      // It is set, to something that is no text.
      return false;
    }
    return Deno.stdout.isTerminal();
  },
  onKey(listener) {
    if (!Deno.stdin.isTerminal()) return () => {};
    // Ctrl-C still sends a signal, or comes as a key.
    Deno.stdin.setRaw(true, { cbreak: SIGNALS.keepsCtrlC });
    const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
    (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        for (const key of value) {
          if (key !== CTRL_C) listener(key);
          else for (const interrupt of interruptListeners) interrupt();
        }
      }
    })().catch(() => {
      // The terminal was closed; the process gets SIGHUP.
    });
    // Ctrl-Z is ignored: to leave the alternate screen and then stop, the process would have to send
    // itself a signal, which it has no permission for. It is ignored to the end of the program, since
    // a Ctrl-Z right before the last key can be delivered after it.
    if (SIGNALS.suspend) Deno.addSignalListener(SIGNALS.suspend, () => {});
    return () => Deno.stdin.setRaw(false);
  },
  onResize(listener) {
    const { resize } = SIGNALS;
    if (resize === undefined) return () => {};
    Deno.addSignalListener(resize, listener);
    return () => Deno.removeSignalListener(resize, listener);
  },
  async read(file, { limitBytes = Infinity } = {}) {
    const source = isStandardInput(file) ? Deno.stdin : await Deno.open(file);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for await (const part of source.readable) {
      parts.push(part);
      length += part.length;
      // Some inputs, such as /dev/zero, never end.
      if (length > limitBytes) break;
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  },
  async *input() {
    const buffer = new Uint8Array(INPUT_BYTES);
    for (;;) {
      const length = await Deno.stdin.read(buffer);
      if (length === null) return;
      yield buffer.slice(0, length);
    }
  },
  get isTyped() {
    return Deno.stdin.isTerminal();
  },
  async ask(question) {
    writeFully(Deno.stderr, new TextEncoder().encode(oneLine(question) + " "));
    const buffer = new Uint8Array(1024);
    const length = await Deno.stdin.read(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, length)).trim();
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
      // Standard error cannot be written: there is no other place to report that.
    }
  },
  async isFile() {
    // Loaded when needed: it would take a tenth of the time of a short call.
    const { fstatSync } = await import("node:fs");
    try {
      return fstatSync(1).isFile();
    } catch {
      // Standard output is closed.
      return false;
    }
  },
  async isFed() {
    const { fstatSync } = await import("node:fs");
    try {
      const input = fstatSync(0);
      return input.isFIFO() || input.isFile() && input.size > 0;
    } catch {
      // Standard input is closed.
      return false;
    }
  },
  showProgress(text) {
    if (text === "" && !hasProgress) return;
    try {
      writeFully(Deno.stderr, new TextEncoder().encode(CLEAR_LINE + text));
      hasProgress = text !== "";
    } catch {
      // Progress that cannot be shown is not a failure.
    }
  },
  environment(name) {
    try {
      return Deno.env.get(name) || undefined;
    } catch {
      throw new ClientError(
        `Cannot use the environment variable ${name}: its value is not UTF-8. Correct or unset it.`,
        ExitStatus.usage,
      );
    }
  },
  onInterrupt(listener) {
    for (const signal of SIGNALS.interrupts) Deno.addSignalListener(signal, listener);
    interruptListeners.add(listener);
    return () => {
      for (const signal of SIGNALS.interrupts) Deno.removeSignalListener(signal, listener);
      interruptListeners.delete(listener);
    };
  },
  dropWritePermission() {
    Deno.permissions.revokeSync({ name: "write" });
  },
};
