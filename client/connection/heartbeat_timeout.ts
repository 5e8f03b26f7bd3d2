/** A connection counts as broken after so many missed heartbeats. */
const MISSED_HEARTBEATS = 3;

/** Detects a stream on which nothing arrives any more, not even heartbeats. */
export class HeartbeatTimeout implements Disposable {
  /** After how many seconds without a message the stream counts as broken. */
  readonly timeoutSeconds: number;
  readonly #expired = new AbortController();
  readonly #clock: ReturnType<typeof setInterval>;
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#expired.abort();
  #idleSeconds = 0;
  #isSuspended = false;

  /**
   * @param heartbeatSeconds The interval of the server's heartbeats.
   * @param outer Another signal that ends the stream.
   */
  constructor(heartbeatSeconds: number, outer?: AbortSignal) {
    this.timeoutSeconds = MISSED_HEARTBEATS * heartbeatSeconds;
    this.#outer = outer;
    if (outer?.aborted) this.#expired.abort();
    outer?.addEventListener("abort", this.#onOuterAbort);
    // Ticks are counted, not time: while a slow standard output blocks this process there are no
    // ticks, and it could not have received a heartbeat either.
    this.#clock = setInterval(() => {
      if (this.#isSuspended) return;
      this.#idleSeconds += 1;
      if (this.#idleSeconds >= this.timeoutSeconds) this.#expired.abort();
    }, 1_000);
  }

  /** Aborted when the time is over, or by the outer signal. */
  get signal(): AbortSignal {
    return this.#expired.signal;
  }

  /** Wraps a listener so that each message restarts the time. */
  restartedBy<Message>(onMessage: (message: Message) => void): (message: Message) => void {
    return (message) => {
      this.#idleSeconds = 0;
      onMessage(message);
    };
  }

  /** Waits for a promise; meanwhile nothing is read, so the time stands still. It starts anew then. */
  async suspendedFor(waiting: Promise<void>): Promise<void> {
    this.#isSuspended = true;
    try {
      await waiting;
    } finally {
      this.#isSuspended = false;
      this.#idleSeconds = 0;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#clock);
    this.#outer?.removeEventListener("abort", this.#onOuterAbort);
  }
}
