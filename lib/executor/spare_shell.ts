/** A shell that is kept ready to send signals where the host has no process left for a new one, or no time. */
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH, quoteForShell } from "../shim/shell.ts";
import { Launcher } from "./launcher.ts";

/** What process lists show of it. */
const LABEL = "job-worker-signals";

/** Only what the shell does itself, without another process. */
const PRELUDE = `send() {\n${scripts.signal}}\n`;

/** Sends signals, one call after the other. */
export class SpareShell {
  #shell: Launcher | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Spawns the shell where none is ready; where that fails, the next call may succeed. */
  prepare(): void {
    if (this.#shell?.isGone === false) return;
    try {
      this.#shell = new Launcher(PRELUDE, [LABEL], { PATH: PROGRAM_PATH });
    } catch {
      this.#shell = undefined; // It is for later; whoever needs it then is told.
    }
  }

  /**
   * Does what lib/shim/signal.sh does.
   *
   * @param timeoutMs How long that may take, with what was asked for before; the signals may still be sent.
   * @returns What that prints.
   * @throws When no shell is ready, or the time is over.
   */
  async send(args: readonly string[], timeoutMs?: number): Promise<string> {
    const sent = this.#last.then(() => this.#send(args));
    this.#last = sent.catch(() => {});
    if (timeoutMs === undefined) return await sent;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("the shell does not answer")), timeoutMs);
    try {
      return await Promise.race([sent, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets the shell exit. */
  async close(): Promise<void> {
    this.#shell?.release();
    await this.#shell?.gone;
    this.#shell = undefined;
  }

  async #send(args: readonly string[]): Promise<string> {
    const script = `send ${args.map(quoteForShell).join(" ")}\necho ended\n`;
    const report = await this.#shell?.launch(script) ?? "";
    if (!/^ended$/m.test(report)) throw new Error("no shell is ready to send signals");
    return report;
  }
}
