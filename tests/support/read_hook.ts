/** Lets a test act at the moment at which the code under test reads a file. */
import { RegularFile } from "../../lib/regular_file.ts";

/**
 * Replaces the read of open files until it is disposed of: it is the real one, with
 * something done before and after it. It holds for all files, so only one may be read meanwhile.
 */
export class ReadHook implements Disposable {
  readonly #read = RegularFile.prototype.read;

  /** @param actions `before` each read, and `after` it, with what it has returned. */
  constructor(actions: { before?: () => void; after?: (length: number) => void }) {
    const read = this.#read;
    RegularFile.prototype.read = async function (
      this: RegularFile,
      buffer: Uint8Array,
      offset: number,
    ) {
      actions.before?.();
      const length = await read.call(this, buffer, offset);
      actions.after?.(length);
      return length;
    };
  }

  [Symbol.dispose](): void {
    RegularFile.prototype.read = this.#read;
  }
}
