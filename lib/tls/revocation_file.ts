/** The file of revocation lists, and the copy that outlasts it. */
import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import {
  formatRevocationLists,
  type FoundLists,
  parseRevocationLists,
  replaceLists,
  type RevocationList,
} from "./revocation_list.ts";

/** 20,000 entries and more; a wrong path must not fill the memory. */
const FILE_LIMIT_BYTES = 1024 ** 2;

/** In the log directory, which is all that the server may write to. */
const COPY_NAME = "revoked.crl";

/** With what a list is judged. */
export interface ListContext {
  /** The CAs that are trusted. */
  authorities: readonly X509Certificate[];
  nowMs: number;
}

/**
 * Reads the lists in a file.
 *
 * @returns Undefined where there is no file.
 * @throws {Error} One line that names the file and says what is wrong with it.
 */
export async function readRevocationFile(
  file: string,
  context: ListContext,
): Promise<FoundLists | undefined> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  const found = parseText(text, { ...context, file });
  if (found.lists.length > 0) return found;
  throw new Error(`no CA that is trusted here has signed the revocation list ${file}`);
}

/**
 * The lists in force. Once a certificate is revoked, neither a file that is deleted or broken nor a
 * restart makes it good again: a copy of what is in force lies in the log directory.
 */
export class Revocations {
  readonly #file: string;
  readonly #copy: string;
  #lists: readonly RevocationList[];

  private constructor(file: string, copy: string, lists: readonly RevocationList[]) {
    this.#file = file;
    this.#copy = copy;
    this.#lists = lists;
  }

  /**
   * Begins with the copy that an earlier server has left, if there is one.
   *
   * @param logFolder Where the copy is.
   * @throws {Error} When the copy is damaged.
   */
  static async open(
    file: string,
    { logFolder, ...context }: ListContext & { logFolder: string },
  ): Promise<Revocations> {
    const copy = join(logFolder, COPY_NAME);
    const text = await readText(copy);
    // A list that no trusted CA has signed is of a CA that is gone, and so are its clients.
    const lists = text === undefined ? [] : parseText(text, { ...context, file: copy }).lists;
    return new Revocations(file, copy, lists);
  }

  /** The newest list of each CA. */
  get lists(): readonly RevocationList[] {
    return this.#lists;
  }

  /**
   * Looks at the file, and puts what it says in force.
   *
   * @returns Whether something has changed.
   * @throws {Error} One line that names the file and says what is wrong; what was in force stays so.
   */
  async refresh(context: ListContext): Promise<boolean> {
    const found = await readRevocationFile(this.#file, context);
    if (found === undefined) {
      if (this.#lists.length === 0) return false;
      throw new Error(`the revocation list ${this.#file} does not exist any more; put it back`);
    }
    const before = formatRevocationLists(this.#lists);
    const lists = this.#replace(found.lists);
    const text = formatRevocationLists(lists);
    if (text === before) return false;
    await this.#keep(text);
    this.#lists = lists;
    return true;
  }

  #replace(found: readonly RevocationList[]): RevocationList[] {
    try {
      return replaceLists(this.#lists, found);
    } catch (error) {
      throw new Error(`cannot use the revocation list ${this.#file}: ${messageOf(error)}`);
    }
  }

  /** Whole or not at all: a server that starts finds either the old copy or the new one. */
  async #keep(text: string): Promise<void> {
    const staged = `${this.#copy}.new`;
    try {
      await Deno.writeTextFile(staged, text, { mode: 0o600 });
      await Deno.rename(staged, this.#copy);
    } catch (error) {
      throw new Error(`cannot keep a copy of the revocation list: ${messageOf(error)}`);
    }
  }
}

function parseText(text: string, { file, ...context }: ListContext & { file: string }): FoundLists {
  try {
    return parseRevocationLists(text, context);
  } catch (error) {
    throw new Error(`cannot use the revocation list ${file}: ${messageOf(error)}`);
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    const { size } = await Deno.stat(file);
    if (size > FILE_LIMIT_BYTES) throw new Error("it is longer than 1 MiB");
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`cannot read the revocation list ${file}: ${messageOf(error)}`);
  }
}
