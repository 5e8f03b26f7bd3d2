import { deferred } from "../../common/deferred.ts";

/** A stream that has brought so many bytes continues over the faster second connection. */
export const BULK_AFTER_BYTES = 1024 ** 2;

/** For so long the first stream is held while the second is to answer: a round trip, and a server's turn. */
export const ANSWER_TIMEOUT_MS = 1_000;

/** What the first stream comes over. */
export interface Holdable {
  /** Lets the server send no more than what is left of its window; the stream stays open. */
  hold(): void;
  /** Ends that. @param goesOn Whether the first stream goes on. */
  release(how: { goesOn: boolean }): void;
}

/**
 * Makes the second connection of a long stream while the first brings more. The first stream stays open
 * until the second has answered: the job may be removed, or the second be refused.
 *
 * Meanwhile the first connection is held: on this runtime a stream that is fast keeps the handshake from
 * its turns.
 */
export class TakeOver<Second extends Disposable> implements Disposable {
  readonly #first: Holdable;
  readonly #open: () => Promise<Second | undefined>;
  readonly #completed = deferred<void>();
  readonly #second = deferred<Second | undefined>();
  #receivedBytes = 0;
  #state: "not begun" | "under way" | "left" | "complete" | "over" = "not begun";
  #isHeld = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param open Makes the connection; nothing where that fails or takes long. It never rejects. */
  constructor(first: Holdable, open: () => Promise<Second | undefined>) {
    this.#first = first;
    this.#open = open;
  }

  /** Settles when the second stream has answered, and the first is to end. */
  get completed(): Promise<void> {
    return this.#completed.promise;
  }

  get isComplete(): boolean {
    return this.#state === "complete";
  }

  /** Whether the first stream is held for the second; what it still brings is bounded by its window. */
  get isUnderWay(): boolean {
    return this.#state === "under way";
  }

  /** The second connection, when it is there; it is closed with this. Undefined: it cannot be made. */
  get second(): Promise<Second | undefined> {
    return this.#second.promise;
  }

  /** Counts what the first stream has brought. */
  count(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes >= BULK_AFTER_BYTES) this.begin();
  }

  /** Begins it, unless it has begun. */
  begin(): void {
    if (this.#state !== "not begun") return;
    this.#state = "under way";
    this.#isHeld = true;
    this.#first.hold();
    void this.#open().then((second) => {
      if (this.#state === "over") second?.[Symbol.dispose]();
      else if (second === undefined) this.leave();
      else this.#timer = setTimeout(() => this.leave(), ANSWER_TIMEOUT_MS);
      this.#second.resolve(this.#state === "over" ? undefined : second);
    });
  }

  /** The second stream has answered. */
  complete(): void {
    if (this.#state !== "under way" && this.#state !== "left") return;
    clearTimeout(this.#timer);
    this.#state = "complete";
    this.#completed.resolve();
  }

  /** The second stream is not waited for: the first goes on. */
  leave(): void {
    if (this.#state !== "under way") return;
    clearTimeout(this.#timer);
    this.#state = "left";
    this.#release({ goesOn: true });
  }

  #release(how: { goesOn: boolean }): void {
    if (this.#isHeld) this.#first.release(how);
    this.#isHeld = false;
  }

  /** Closes the second connection, also one that is yet to come. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#state = "over";
    this.#release({ goesOn: false });
    void this.#second.promise.then((second) => second?.[Symbol.dispose]());
  }
}
