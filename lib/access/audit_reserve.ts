/** Room on the disk that is kept for lines of the audit trail: a full disk must not refuse these. */

/** Some hundred lines. As much as Web Crypto makes random at once. */
const RESERVE_BYTES = 64 * 1024;

/** How long after the room could not be taken in full it is tried again. */
const RETRY_MS = 10_000;

/** A file that takes room until the room is needed; beside the server's thread, unlike that of the records. */
export class AuditReserve {
  readonly #path: string;
  #isWhole = false;
  #nextTryMs = -Infinity;

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes the room, or as much of it as there is, unless it is taken or that was tried just now. */
  async take(): Promise<void> {
    if (this.#isWhole || performance.now() < this.#nextTryMs) return;
    this.#nextTryMs = performance.now() + RETRY_MS;
    try {
      // Filesystems that compress would give zeros no room.
      const bytes = crypto.getRandomValues(new Uint8Array(RESERVE_BYTES));
      await Deno.writeFile(this.#path, bytes, { mode: 0o600 });
      this.#isWhole = true;
    } catch {
      // The disk is full: what could be taken is kept.
    }
  }

  /** Gives the room back; what the lines do not need is to be taken again at once. */
  async release(): Promise<void> {
    this.#isWhole = false;
    this.#nextTryMs = -Infinity;
    await Deno.remove(this.#path).catch(() => {}); // There may be none.
  }
}
