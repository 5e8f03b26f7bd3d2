/** Room on the disk that is kept for ends and removals of jobs: a full disk must not refuse these. */

/** Some pages of the database, and of its write-ahead log. */
const RESERVE_BYTES = 128 * 1024;

/** The most that is made random at once (Web Crypto). */
const RANDOM_BYTES = 64 * 1024;

/** A file that takes room until the room is needed. */
export class Reserve {
  readonly #path: string;

  /** Takes the room, or as much of it as there is. */
  constructor(path: string) {
    this.#path = path;
    this.take();
  }

  /** Takes the room again, or as much of it as there is. */
  take(): void {
    try {
      if (this.#isTaken()) return;
      // Filesystems that compress would give zeros no room.
      const bytes = new Uint8Array(RESERVE_BYTES);
      for (let from = 0; from < bytes.length; from += RANDOM_BYTES) {
        crypto.getRandomValues(bytes.subarray(from, from + RANDOM_BYTES));
      }
      Deno.writeFileSync(this.#path, bytes, { mode: 0o600 });
    } catch {
      // The disk is full: what could be taken is kept.
    }
  }

  /** Gives the room back. */
  release(): void {
    try {
      Deno.removeSync(this.#path);
    } catch {
      // There was none.
    }
  }

  #isTaken(): boolean {
    try {
      return Deno.lstatSync(this.#path).size === RESERVE_BYTES;
    } catch {
      return false;
    }
  }
}
