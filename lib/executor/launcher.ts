/** One launcher: a shell that runs lib/shim/launch.sh. */
import { listeningShell } from "../shim/shell.ts";

/** The longest line of a refusal has a path and a value; what is longer is not from the launcher. */
const MAX_REPORT_BYTES = 16 * 1024;

/**
 * Most reports fit. A read that waits holds its buffer all the while, and the runtime's own would
 * be 64 KiB for each launcher.
 */
const READ_BYTES = 1024;

/** With this status a launcher exits that could not write how its job ended (EX_IOERR of sysexits(3)). */
export const RECORD_REFUSED_STATUS = 74;

const encoder = new TextEncoder();

/** A launcher's process. */
export class Launcher {
  /** Settles with the exit status when the process has ended. */
  readonly gone: Promise<number>;
  /** Whether the process has ended. */
  isGone = false;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamBYOBReader;
  readonly #decoder = new TextDecoder();
  /** Sent before the first job. */
  #prelude: string;
  /** What it has reported about its present job. */
  #report = "";

  /**
   * @param prelude The script that defines `launch`.
   * @throws When there is no room for a process, or the arguments are too long for Linux.
   */
  constructor(
    prelude: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ) {
    const child = listeningShell(args, environment).spawn();
    this.#prelude = prelude;
    this.gone = child.status.then(({ code }) => {
      this.isGone = true;
      return code;
    });
    this.#input = child.stdin.getWriter();
    this.#output = child.stdout.getReader({ mode: "byob" });
  }

  /**
   * Has it launch a job.
   *
   * @param script The call of `launch`.
   * @returns What it reports until the job has started, or until it refuses.
   */
  async launch(script: string): Promise<string> {
    const text = this.#prelude + script;
    this.#prelude = "";
    this.#report = "";
    // A launcher that is gone does not take it; the report is then empty, which is a failure.
    this.#input.write(encoder.encode(text)).catch(() => {});
    await this.#readUntil(/^(?:started .*|ended)\n/m);
    return this.#report;
  }

  /** Waits for its report that the job has ended; false when it is gone, or was released. */
  async hasEnded(): Promise<boolean> {
    return await this.#readUntil(/^ended\n/m);
  }

  /** Tells it that no other job will come. */
  closeInput(): void {
    this.#input.close().catch(() => {}); // It is gone, or its input is closed already.
  }

  /** Closes the pipes to it: it exits when its job has ended. */
  release(): void {
    this.closeInput();
    this.#output.cancel().catch(() => {});
  }

  /** @returns Whether the report has such a line; false when no more will come. */
  async #readUntil(line: RegExp): Promise<boolean> {
    while (!line.test(this.#report)) {
      const { done, value } = await this.#output.read(new Uint8Array(READ_BYTES));
      if (done || this.#report.length > MAX_REPORT_BYTES) return false;
      this.#report += this.#decoder.decode(value, { stream: true });
    }
    return true;
  }
}
