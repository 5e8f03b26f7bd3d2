/**
 * A shell that is kept to read the counters of jobs. A new one for each read takes as much processor time as
 * all else that a query does: the runtime forks the whole server for it.
 */
import { scripts } from "../shim/scripts.ts";
import { listeningShell, PROGRAM_PATH, quoteForShell, ScriptTimeoutError } from "../shim/shell.ts";

/** What process lists show of it. */
const LABEL = "job-worker-counters";

const PRELUDE = `read_files() {\n${scripts.read}}\n`;

/** No counter file has such a line. */
const LAST_LINE = "ended\n";

/** The counters of several jobs fit; the runtime's own buffer would be 64 KiB. */
const READ_BYTES = 8 * 1024;

/** Times that tests shorten. */
export interface CounterShellTimes {
  /** A shell that takes longer hangs in the kernel, and is given up. */
  readonly timeoutMs: number;
  /** A shell that is asked nothing for this long exits. */
  readonly idleTimeoutMs: number;
}

const DEFAULT_TIMES: CounterShellTimes = { timeoutMs: 30_000, idleTimeoutMs: 10_000 };

interface Shell {
  readonly child: Deno.ChildProcess;
  readonly input: WritableStreamDefaultWriter<Uint8Array>;
  readonly output: ReadableStreamBYOBReader;
}

/** Reads kernel files; to be asked again only when it has answered. */
export class CounterShell {
  readonly #times: CounterShellTimes;
  #shell: Shell | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(times: CounterShellTimes = DEFAULT_TIMES) {
    this.#times = times;
  }

  /**
   * Reads files.
   *
   * @returns What lib/shim/read.sh prints.
   * @throws {ScriptTimeoutError} When it takes too long: the shell is killed, and not waited for.
   * @throws When there is no room for a process, or the shell was killed; the next call may succeed.
   */
  async read(files: readonly string[]): Promise<string> {
    this.#clearTimer();
    const shell = this.#shell ??= this.#spawn();
    try {
      const text = await this.#inTime(ask(shell, files));
      this.#idleTimer = setTimeout(() => this.#giveUp(shell), this.#times.idleTimeoutMs);
      return text;
    } catch (error) {
      this.#giveUp(shell);
      throw error;
    }
  }

  /** Has the shell end, and waits for that where it is not reading, and so cannot hang. */
  async close(): Promise<void> {
    const isIdle = this.#idleTimer !== undefined;
    this.#clearTimer();
    const shell = this.#shell;
    if (shell === undefined) return;
    this.#giveUp(shell);
    if (isIdle) await shell.child.status;
  }

  #clearTimer(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
  }

  #spawn(): Shell {
    const child = listeningShell([LABEL], { PATH: PROGRAM_PATH }).spawn();
    const shell = {
      child,
      input: child.stdin.getWriter(),
      output: child.stdout.getReader({ mode: "byob" }),
    };
    void child.status.then(() => this.#giveUp(shell));
    shell.input.write(new TextEncoder().encode(PRELUDE)).catch(() => {}); // The answer will be missing.
    return shell;
  }

  async #inTime(answer: Promise<string>): Promise<string> {
    const { timeoutMs } = this.#times;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new ScriptTimeoutError(`counters took longer than ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What hangs in the kernel ends when that answers; nobody waits for it. */
  #giveUp(shell: Shell): void {
    if (this.#shell !== shell) return;
    this.#shell = undefined;
    shell.input.abort().catch(() => {});
    shell.output.cancel().catch(() => {});
    try {
      shell.child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

async function ask({ input, output }: Shell, files: readonly string[]): Promise<string> {
  const question = `read_files ${files.map(quoteForShell).join(" ")}\necho ${LAST_LINE}`;
  // One that is gone does not take it; the answer is then missing.
  input.write(new TextEncoder().encode(question)).catch(() => {});
  const decoder = new TextDecoder();
  let text = "";
  while (!text.endsWith(LAST_LINE)) {
    const { done, value } = await output.read(new Uint8Array(READ_BYTES));
    if (done) throw new Error("the shell that reads them has ended");
    text += decoder.decode(value, { stream: true });
  }
  return text;
}
