/** Lets a test act at the moment at which the code under test reads a file. */

/**
 * Replaces the read of the runtime's open files until it is disposed of: it is the real one, with
 * something done before and after it. It holds for all files, so only one may be read meanwhile.
 */
export class ReadHook implements Disposable {
  readonly #read = Deno.FsFile.prototype.read;

  /** @param actions `before` each read, and `after` it, with what it has returned. */
  constructor(actions: { before?: () => void; after?: (length: number | null) => void }) {
    const read = this.#read;
    Deno.FsFile.prototype.read = async function (this: Deno.FsFile, buffer: Uint8Array) {
      actions.before?.();
      const length = await read.call(this, buffer);
      actions.after?.(length);
      return length;
    };
  }

  [Symbol.dispose](): void {
    Deno.FsFile.prototype.read = this.#read;
  }
}
