/** The file of revocation lists, and the server's copy of it. */
import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import {
  formatRevocationLists,
  parseRevocationLists,
  replaceLists,
  type RevocationList,
} from "./revocation_list.ts";

/** 20,000 entries and more; a wrong path must not fill the memory. */
const FILE_LIMIT_BYTES = 1024 ** 2;

/** In the log directory, which is all that the server may write to. */
const COPY_NAME = "revoked.crl";

/** What a list is checked against. */
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
): Promise<RevocationList[] | undefined> {
  const text = await readText(file);
  return text === undefined ? undefined : listsIn(text, { ...context, file });
}

function listsIn(text: string, context: ListContext & { file: string }): RevocationList[] {
  const lists = parseText(text, context);
  if (lists.length > 0) return lists;
  throw new Error(`the revocation list ${context.file} is not signed by a CA that is trusted here`);
}

/**
 * The lists in force. A revoked certificate is not accepted again because the file was deleted or
 * damaged, or the server restarted: a copy of the lists in force is in the log directory.
 */
export class Revocations {
  readonly #file: string;
  readonly #copy: string;
  #lists: readonly RevocationList[];
  /** What the file was when its lists were put in force, or had nothing new. */
  #settled: { readonly text: string; readonly authorities: readonly X509Certificate[] } | undefined;

  private constructor(file: string, copy: string, lists: readonly RevocationList[]) {
    this.#file = file;
    this.#copy = copy;
    this.#lists = lists;
  }

  /**
   * Begins with the copy that an earlier server has left, if there is one.
   *
   * @param options `logFolder` is where the copy is.
   * @throws {Error} When the copy is damaged.
   */
  static async open(
    file: string,
    { logFolder, ...context }: ListContext & { logFolder: string },
  ): Promise<Revocations> {
    const copy = join(logFolder, COPY_NAME);
    const text = await readText(copy);
    // A list that no trusted CA has signed belongs to a removed CA, whose clients are refused anyway.
    const lists = text === undefined ? [] : parseText(text, { ...context, file: copy });
    return new Revocations(file, copy, lists);
  }

  /** The newest list of each CA. */
  get lists(): readonly RevocationList[] {
    return this.#lists;
  }

  /**
   * Reads the file, and puts its lists in force. What it has held before is not looked at again: a
   * long list would keep the only thread busy at each look.
   *
   * @returns Whether something has changed.
   * @throws {Error} One line that names the file and says what is wrong; the lists in force stay.
   */
  async refresh(context: ListContext): Promise<boolean> {
    const present = await readText(this.#file);
    if (present === undefined) {
      if (this.#lists.length === 0) return false;
      throw new Error(`the revocation list ${this.#file} no longer exists; put it back`);
    }
    const { authorities } = context;
    if (this.#isSettled(present, authorities)) return false;
    const before = formatRevocationLists(this.#lists);
    const lists = this.#replace(listsIn(present, { ...context, file: this.#file }));
    const text = formatRevocationLists(lists);
    const isChanged = text !== before;
    if (isChanged) await this.#keep(text);
    this.#lists = lists;
    this.#settled = { text: present, authorities };
    return isChanged;
  }

  #isSettled(text: string, authorities: readonly X509Certificate[]): boolean {
    return this.#settled?.text === text &&
      this.#settled.authorities.length === authorities.length &&
      this.#settled.authorities.every((authority) => authorities.includes(authority));
  }

  #replace(found: readonly RevocationList[]): RevocationList[] {
    try {
      return replaceLists(this.#lists, found);
    } catch (error) {
      throw new Error(`cannot use the revocation list ${this.#file}: ${messageOf(error)}`);
    }
  }

  /** Atomic: a server that starts finds either the old copy or the new one. */
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

function parseText(
  text: string,
  { file, ...context }: ListContext & { file: string },
): RevocationList[] {
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
