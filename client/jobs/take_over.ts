import { deferred } from "../../common/deferred.ts";

/** A stream that has brought so many bytes continues over the faster second connection. */
export const BULK_AFTER_BYTES = 1024 ** 2;

/**
 * The first stream brings no more while the second connection is made: on this runtime a stream that is
 * fast keeps the handshake from its turns.
 */
const FIRST_MAX_BYTES = 8 * BULK_AFTER_BYTES;

/** Makes the second connection of a long stream while the first brings more. */
export class TakeOver<Second extends Disposable> implements Disposable {
  readonly #open: () => Promise<Second | undefined>;
  readonly #due = deferred<void>();
  #receivedBytes = 0;
  #opening: Promise<Second | undefined> | undefined;
  #hasFailed = false;

  /** @param open Makes the connection; nothing where that fails or takes long. It never rejects. */
  constructor(open: () => Promise<Second | undefined>) {
    this.#open = open;
  }

  /** Settles when the first stream is to end. Never where a second connection cannot be made. */
  get due(): Promise<void> {
    return this.#due.promise;
  }

  /** Counts what the first stream has brought. */
  count(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes < BULK_AFTER_BYTES) return;
    void this.#begin();
    if (this.#receivedBytes >= FIRST_MAX_BYTES && !this.#hasFailed) this.#due.resolve();
  }

  /** The second connection, which is closed with this. Undefined: it cannot be made. */
  async second(): Promise<Second | undefined> {
    return await this.#begin();
  }

  #begin(): Promise<Second | undefined> {
    return this.#opening ??= this.#open().then((second) => {
      this.#hasFailed = second === undefined;
      if (!this.#hasFailed) this.#due.resolve();
      return second;
    });
  }

  /** Closes the second connection, also one that is yet to come. */
  [Symbol.dispose](): void {
    void this.#opening?.then((second) => second?.[Symbol.dispose]());
  }
}
