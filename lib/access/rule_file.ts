/** Reads the rule file when it has changed. An invalid one changes nothing, and is logged. */
import { AccessRules, parseRules } from "./rules.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** The rules in the file, and the rules in force. */
export class RuleFile {
  readonly #path: string;
  readonly #defaultUser: string;
  #rules: AccessRules;
  /** The version of the file that was read last. */
  #stamp: string;
  /** Ends when that version is in force, or refused. */
  #reading: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    defaultUser: string,
    { rules, stamp }: { rules: AccessRules; stamp: string },
  ) {
    this.#path = path;
    this.#defaultUser = defaultUser;
    this.#rules = rules;
    this.#stamp = stamp;
  }

  /**
   * @param path Empty: there is no rule file, and the roles alone decide.
   * @param defaultUser The user that jobs run as by default.
   * @throws {Error} When the file is missing or invalid.
   */
  static async open(path: string, defaultUser: string): Promise<RuleFile> {
    if (path === "") {
      const rules = new AccessRules({ rules: [], unnamed: "allowed" }, defaultUser);
      return new RuleFile(path, defaultUser, { rules, stamp: "" });
    }
    try {
      const stamp = await stampOf(path);
      const rules = parseRules(await Deno.readTextFile(path), defaultUser);
      return new RuleFile(path, defaultUser, { rules, stamp });
    } catch (error) {
      throw new Error(
        `cannot use the rule file ${path}: ${
          messageOf(error)
        }; correct it, or start without --rules`,
        { cause: error },
      );
    }
  }

  /** The rules in force. Reads the file again where it has changed; an invalid one is ignored. */
  async current(): Promise<AccessRules> {
    if (this.#path === "") return this.#rules;
    const stamp = await stampOf(this.#path).catch(() => "missing");
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#reading = this.#read();
    }
    // Also where another call has begun to read: rules that were replaced hold for no later call.
    await this.#reading;
    return this.#rules;
  }

  async #read(): Promise<void> {
    try {
      this.#rules = parseRules(await Deno.readTextFile(this.#path), this.#defaultUser);
      log.info("the rule file has changed", { file: this.#path });
    } catch (error) {
      log.error("the rule file is invalid; keeping the previous rules", {
        file: this.#path,
        error: messageOf(error),
      });
    }
  }
}

/**
 * Tells versions of a file apart, whether it is written in place or replaced by a rename. Tools such
 * as `cp -p` set the time of the last write, but none can set that of the last change.
 */
async function stampOf(path: string): Promise<string> {
  const { mtime, ctime, size, ino } = await Deno.stat(path);
  return `${mtime?.getTime()} ${ctime?.getTime()} ${size} ${ino}`;
}
