/**
 * Whether the disk of the records answers. SQLite writes on the server's only thread: on a disk that
 * is frozen (fsfreeze(8)) or whose file server is away, a write would hold up every call until it answers.
 */
import { join } from "node:path";
import { log } from "../log.ts";

/** Between two looks; one costs some ten microseconds, and writes nothing. */
const INTERVAL_MS = 500;

/** A look that is not over after so many of these steps is stuck: steps count no time without processor. */
const STEP_MS = 250;
const STUCK_STEPS = 8;

/** What no file has as its name. */
const NO_FILE = "no-such-file";

/**
 * Asks a disk to rename a file that is not there. The kernel waits until the filesystem takes changes,
 * then looks for the file, and changes nothing.
 */
export async function askDisk(folder: string): Promise<void> {
  await Deno.rename(join(folder, NO_FILE), join(folder, NO_FILE));
}

/** Looks at the disk again and again, beside the server's thread. */
export class DiskWatch {
  readonly #look: () => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  /** Whether a look has not been answered for about two seconds. */
  isStuck = false;

  /** @param look Settles when the disk has answered; may reject. */
  constructor(look: () => Promise<void>) {
    this.#look = look;
    void this.#watch();
  }

  /** Ends the watch. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #watch(): Promise<void> {
    this.#step(1);
    // What else is wrong with the disk, the writes tell.
    await this.#look().catch(() => {});
    clearTimeout(this.#timer);
    if (this.isStuck) log.warn("the disk of the log directory answers again");
    this.isStuck = false;
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#watch(), INTERVAL_MS);
  }

  #step(count: number): void {
    this.#timer = setTimeout(() => {
      if (count < STUCK_STEPS) return this.#step(count + 1);
      this.isStuck = true;
      log.error(
        "the disk of the log directory does not answer: it is frozen (fsfreeze -u) or stuck, or its file " +
          "server is away; until it does, nothing is started or recorded, and jobs are stopped all the same",
      );
    }, STEP_MS);
  }
}
