/**
 * An event for each write to a file. The runtime's own watches (`Deno.watchFs`) are never given back: each
 * that there ever was takes its time at every event, and the thread that serves them would become the
 * server's load. So tail(1) waits for inotify, in a process that ends with the watch.
 */
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH, shell } from "../shim/shell.ts";

/** At most so many at once: half of the host's default bound of a user (fs.inotify.max_user_instances). */
const MAX_AT_ONCE = 64;

const open = new Set<WriteEvents>();

/** The writes to one file. */
export class WriteEvents implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #written: ReadableStreamDefaultReader<Uint8Array>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#written = child.stdout.getReader();
    open.add(this);
  }

  /**
   * Begins to watch. What was written before that makes no event, but one event says that it has begun,
   * unless the file is empty then.
   *
   * @returns Nothing where there are too many, or the host has no room for the process.
   */
  static begin(path: string): WriteEvents | undefined {
    if (open.size >= MAX_AT_ONCE) return undefined;
    try {
      return new WriteEvents(shell(scripts.written, [path], { PATH: PROGRAM_PATH }).spawn());
    } catch {
      return undefined;
    }
  }

  /** Ends all that there are: what is left in a service's group when it ends, systemd complains about. */
  static async endAll(): Promise<void> {
    await Promise.all([...open].map((events) => events[Symbol.asyncDispose]()));
  }

  /** @returns Whether something was written; else it was ended, or the process has ended by itself. */
  async next(): Promise<boolean> {
    try {
      return (await this.#written.read()).done !== true;
    } catch {
      return false;
    }
  }

  /** Ends {@linkcode next}. */
  end(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }

  /** Settles when the process is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    open.delete(this);
    await this.#written.cancel().catch(() => {});
    await this.#child.status;
  }
}
