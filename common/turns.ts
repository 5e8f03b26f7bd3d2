/** Bounds how much work of one kind is under way at once, and is fair among those it is for. */

/** Lets a number of tasks run at once. The others wait: each in the line of whom it is for. */
export class Turns {
  readonly #maxTurns: number;
  readonly #maxTurnMs: number;
  readonly #maxEach: number;
  /** Who waits, by whom it is for; who has had a turn longest ago is the first. */
  readonly #lines = new Map<string, (() => void)[]>();
  /** How many turns each has; none is not in it. */
  readonly #taken = new Map<string, number>();
  #takenCount = 0;

  /**
   * @param maxTurns Turns taken at once.
   * @param maxTurnMs After this time a turn is over, although its task goes on: a task that waits for
   * something else must not hold up the others.
   * @param maxEach Turns taken at once by one of those that the tasks are for.
   */
  constructor(maxTurns: number, maxTurnMs: number, maxEach = maxTurns) {
    this.#maxTurns = maxTurns;
    this.#maxTurnMs = maxTurnMs;
    this.#maxEach = maxEach;
  }

  /**
   * Waits for a turn; disposing of it ends it. Lines have their turns one after the other, so that a
   * long line delays the others no more than a short one.
   *
   * @param who Whom the task is for.
   * @param signal Ends the waiting, with its reason.
   */
  async take(who = "", signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#hasRoomFor(who)) this.#count(who, 1);
    else await this.#wait(who, signal);
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#count(who, -1);
      this.#goOn();
    };
    const timer = setTimeout(end, this.#maxTurnMs);
    return { [Symbol.dispose]: end };
  }

  #wait(who: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const line = this.#lines.get(who) ?? [];
      const begin = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        line.splice(line.indexOf(begin), 1);
        if (line.length === 0) this.#lines.delete(who);
        reject(signal?.reason);
      };
      line.push(begin);
      this.#lines.set(who, line);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** Gives the free places to those who wait. */
  #goOn(): void {
    for (const [who, line] of this.#lines) {
      if (this.#takenCount >= this.#maxTurns) return;
      if (!this.#hasRoomFor(who)) continue;
      const begin = line.shift();
      // To the end of all lines.
      this.#lines.delete(who);
      if (line.length > 0) this.#lines.set(who, line);
      this.#count(who, 1);
      begin?.();
    }
  }

  #hasRoomFor(who: string): boolean {
    return this.#takenCount < this.#maxTurns && (this.#taken.get(who) ?? 0) < this.#maxEach;
  }

  #count(who: string, change: 1 | -1): void {
    this.#takenCount += change;
    const count = (this.#taken.get(who) ?? 0) + change;
    if (count > 0) this.#taken.set(who, count);
    else this.#taken.delete(who);
  }
}
