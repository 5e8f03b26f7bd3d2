/** Whose turn it is in a queue. Pure. */

/**
 * The jobs of one queue that are ready to run: their owners have their turns one after the other, and each
 * owner's jobs come in the order in which they were added. So nobody's first job waits for all of another's.
 */
export class Line {
  /** The jobs of each owner; whose turn comes next is the first. */
  readonly #owners = new Map<string, Set<string>>();
  #size = 0;
  /** By job, as long as nothing changes: many are asked for together. */
  #positions: ReadonlyMap<string, number> | undefined;

  get size(): number {
    return this.#size;
  }

  /** Adds a job that is in no line. */
  add(id: string, owner: string): void {
    const ids = this.#owners.get(owner);
    if (ids === undefined) this.#owners.set(owner, new Set([id]));
    else ids.add(id);
    this.#change(1);
  }

  /** Puts a job back that was taken last, and had no use of its turn. */
  putBack(id: string, owner: string): void {
    const others = [...this.#owners].filter(([other]) => other !== owner);
    const ids = new Set([id, ...this.#owners.get(owner) ?? []]);
    this.#owners.clear();
    for (const [other, theirs] of [[owner, ids], ...others] as const) {
      this.#owners.set(other, theirs);
    }
    this.#change(1);
  }

  /** Takes a job out of the line, wherever it is; one that is not in it is no error. */
  delete(id: string, owner: string): void {
    const ids = this.#owners.get(owner);
    if (ids?.delete(id) !== true) return;
    if (ids.size === 0) this.#owners.delete(owner);
    this.#change(-1);
  }

  /**
   * Takes the job whose turn it is out of the line.
   *
   * @param mayRun Whether an owner may have another job now; those who may not are passed over, and keep their turn.
   * @returns Undefined: nobody's turn.
   */
  take(mayRun: (owner: string) => boolean): string | undefined {
    for (const [owner, ids] of this.#owners) {
      if (!mayRun(owner)) continue;
      for (const id of ids) {
        ids.delete(id);
        // To the end of all owners.
        this.#owners.delete(owner);
        if (ids.size > 0) this.#owners.set(owner, ids);
        this.#change(-1);
        return id;
      }
    }
    return undefined;
  }

  /** The how manieth job's turn it is, from 1 on, as the line is now; 0: it is not in it. */
  positionOf(id: string): number {
    this.#positions ??= this.#order();
    return this.#positions.get(id) ?? 0;
  }

  #order(): Map<string, number> {
    const positions = new Map<string, number>();
    let rows = [...this.#owners.values()].map((ids) => ids.values());
    while (rows.length > 0) {
      rows = rows.filter((row) => {
        const { value: id } = row.next();
        if (id !== undefined) positions.set(id, positions.size + 1);
        return id !== undefined;
      });
    }
    return positions;
  }

  #change(by: number): void {
    this.#size += by;
    this.#positions = undefined;
  }
}
