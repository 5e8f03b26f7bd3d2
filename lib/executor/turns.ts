/** Bounds how many launches are under way at once. */

/** Lets a number of tasks run at once; the others wait, in the order of asking. */
export class Turns {
  readonly #maxTurns: number;
  readonly #maxTurnMs: number;
  readonly #queue: (() => void)[] = [];
  #taken = 0;

  /**
   * @param maxTurns Turns taken at once.
   * @param maxTurnMs After this time a turn is over, although its task goes on: a task that waits for
   * something else must not hold up the others.
   */
  constructor(maxTurns: number, maxTurnMs: number) {
    this.#maxTurns = maxTurns;
    this.#maxTurnMs = maxTurnMs;
  }

  /** Waits for a turn; disposing of it ends it. */
  async take(): Promise<Disposable> {
    if (this.#taken < this.#maxTurns) this.#taken++;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      // The next in the queue takes the place over.
      const next = this.#queue.shift();
      if (next === undefined) this.#taken--;
      else next();
    };
    const timer = setTimeout(end, this.#maxTurnMs);
    return { [Symbol.dispose]: end };
  }
}
