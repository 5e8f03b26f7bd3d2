/** Counts jobs, in all and by their owners. Pure. */

/** A set of jobs of which the numbers are asked for often. */
export class Tally {
  readonly #ids = new Set<string>();
  readonly #counts = new Map<string, number>();

  /** Of all owners. */
  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Of one owner. */
  of(owner: string): number {
    return this.#counts.get(owner) ?? 0;
  }

  /**
   * Says whether a job is one of these.
   *
   * @returns Whether that is news.
   */
  set(id: string, owner: string, isIn: boolean): boolean {
    if (this.#ids.has(id) === isIn) return false;
    if (isIn) this.#ids.add(id);
    else this.#ids.delete(id);
    const count = this.of(owner) + (isIn ? 1 : -1);
    if (count === 0) this.#counts.delete(owner);
    else this.#counts.set(owner, count);
    return true;
  }
}
