/** A file that is read again when it has changed. An invalid version changes nothing, and is logged. */
import { versionOf } from "../../common/file_version.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** What kind of file it is. */
export interface RenewedFileKind<T> {
  /** Such as "rule file". */
  readonly name: string;
  /** Logged when a new version is in force. */
  readonly changed: string;
  /** Logged when a new version is invalid. */
  readonly invalid: string;
  /** The option that names it, such as `--rules`. */
  readonly option: string;
  /** @throws {Error} When it is missing, or may not be used. */
  readonly readText: (path: string) => Promise<string>;
  /** @throws {Error} When the text is invalid. */
  readonly parse: (text: string) => T;
}

/** What the file says, and what of it is in force. */
export class RenewedFile<T> {
  readonly #path: string;
  readonly #kind: RenewedFileKind<T>;
  #content: T;
  /** What was read last, and of which version of the file; undefined where that is not in force. */
  #text: string | undefined;
  #version: string;
  /** Why that version is not in force; undefined: it is. */
  #problem: string | undefined;
  /** Ends when that version is in force, or refused. */
  #reading: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    kind: RenewedFileKind<T>,
    { content, text, version }: { content: T; text: string; version: string },
  ) {
    this.#path = path;
    this.#kind = kind;
    this.#content = content;
    this.#text = text;
    this.#version = version;
  }

  /** @throws {Error} When the file is missing or invalid. */
  static async open<T>(path: string, kind: RenewedFileKind<T>): Promise<RenewedFile<T>> {
    try {
      const version = await versionOf(path);
      const text = await kind.readText(path);
      return new RenewedFile(path, kind, { content: kind.parse(text), text, version });
    } catch (error) {
      throw new Error(
        `cannot use the ${kind.name} ${path}: ${
          messageOf(error)
        }; correct it, or start without ${kind.option}`,
        { cause: error },
      );
    }
  }

  /** What is in force. Reads the file again where it has changed; an invalid one is ignored. */
  async current(): Promise<T> {
    const version = await versionOf(this.#path).catch(() => "missing");
    if (version !== this.#version) {
      this.#version = version;
      this.#reading = this.#read();
    }
    // Also where another call has begun to read: what was replaced holds for no later call.
    await this.#reading;
    return this.#content;
  }

  async #read(): Promise<void> {
    const { changed, invalid, readText, parse } = this.#kind;
    try {
      const text = await readText(this.#path);
      if (text === this.#text) return;
      this.#text = text;
      this.#content = parse(text);
      this.#problem = undefined;
      log.info(changed, { file: this.#path });
    } catch (error) {
      this.#text = undefined;
      const problem = messageOf(error);
      if (problem !== this.#problem) log.error(invalid, { file: this.#path, error: problem });
      this.#problem = problem;
    }
  }
}
