/** Failures that a test injects into what it replaces. */

/** Which of some operations are to fail, and how often. */
export class Failures<Operation extends string> {
  readonly #left = new Map<Operation, { times: number; error: Error }>();

  /** Lets an operation fail from now on. */
  inject(
    operation: Operation,
    { times = Infinity, error = new Error(`injected failure of ${operation}`) } = {},
  ): void {
    this.#left.set(operation, { times, error });
  }

  /** Lets all operations succeed again. */
  clear(): void {
    this.#left.clear();
  }

  /** To be called by the operation. @throws The injected error, while there is one. */
  check(operation: Operation): void {
    const failure = this.#left.get(operation);
    if (failure === undefined || failure.times <= 0) return;
    failure.times -= 1;
    throw failure.error;
  }
}

/** What SQLite and the runtime say of a full disk. */
export const FULL_DISK = [
  new Error("database or disk is full"),
  new Error("No space left on device (os error 28)"),
];

/** What they say of one that is read-only, or broken. */
export const REFUSING_DISK = [
  new Error("disk I/O error"),
  new Error("Read-only file system (os error 30)"),
];
