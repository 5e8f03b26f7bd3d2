/** So many missed heartbeats are a dead connection. */
const MISSED_HEARTBEATS = 3;

/** Notices that nothing is heard any more, not even a heartbeat. */
export class Silence implements Disposable {
  readonly deadAfterSeconds: number;
  readonly #dead = new AbortController();
  readonly #clock: ReturnType<typeof setInterval>;
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#dead.abort();
  #silentSeconds = 0;
  #isExcused = false;

  /**
   * @param heartbeatSeconds How often the server gives a sign of life.
   * @param outer Another reason to end.
   */
  constructor(heartbeatSeconds: number, outer?: AbortSignal) {
    this.deadAfterSeconds = MISSED_HEARTBEATS * heartbeatSeconds;
    this.#outer = outer;
    if (outer?.aborted) this.#dead.abort();
    outer?.addEventListener("abort", this.#onOuterAbort);
    // Ticks are counted, not time: while a slow standard output blocks this process no tick passes,
    // and nobody could have heard a heartbeat.
    this.#clock = setInterval(() => {
      if (this.#isExcused) return;
      this.#silentSeconds += 1;
      if (this.#silentSeconds >= this.deadAfterSeconds) this.#dead.abort();
    }, 1_000);
  }

  /** Aborted when it has lasted too long, or by the outer signal. */
  get signal(): AbortSignal {
    return this.#dead.signal;
  }

  /** Wraps a listener, so that each message ends the silence. */
  listen<Message>(onMessage: (message: Message) => void): (message: Message) => void {
    return (message) => {
      this.#silentSeconds = 0;
      onMessage(message);
    };
  }

  /** Waits, during which nobody listens and silence means nothing. */
  async excuse(waiting: Promise<void>): Promise<void> {
    this.#isExcused = true;
    try {
      await waiting;
    } finally {
      this.#isExcused = false;
      this.#silentSeconds = 0;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#clock);
    this.#outer?.removeEventListener("abort", this.#onOuterAbort);
  }
}
