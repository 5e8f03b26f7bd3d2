/** A program of the cluster that stays in the foreground, and dies with the test's process. */

/** How a daemon is started. */
export interface DaemonOptions {
  /** Where its standard output and error go. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that runs until it is killed. */
export class Daemon {
  readonly #child: Deno.ChildProcess;
  #isGone = false;

  /** Starts a program. */
  constructor(words: readonly string[], { log, env = {} }: DaemonOptions) {
    // A test that is killed runs no clean-up: the kernel ends what it has started.
    const program = ["setpriv", "--pdeathsig", "KILL", "--", ...words];
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "daemon", log, ...program],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    void this.#child.status.then(() => this.#isGone = true);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether it has ended. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Sends a signal; nothing where it has ended. */
  signal(signal: Deno.Signal): void {
    if (!this.#isGone) this.#child.kill(signal);
  }

  /** Kills it, and waits for its end. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#child.status;
  }
}
