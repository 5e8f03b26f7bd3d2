/** Reads the rule file when it has changed. A broken one changes nothing, and is told of in the log. */
import { AccessRules, parseRules } from "./rules.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** The rules as they stand in the file. */
export class RuleFile {
  readonly #path: string;
  readonly #defaultUser: string;
  #rules: AccessRules;
  /** What the file was when it was last read. */
  #stamp: string;

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
   * @param defaultUser Whom jobs run as.
   * @throws {Error} When the file is missing or says something that is no rule.
   */
  static async open(path: string, defaultUser: string): Promise<RuleFile> {
    if (path === "") {
      const rules = new AccessRules([], defaultUser);
      return new RuleFile(path, defaultUser, { rules, stamp: "" });
    }
    try {
      const stamp = await stampOf(path);
      const rules = parseRules(await Deno.readTextFile(path), defaultUser);
      return new RuleFile(path, defaultUser, { rules, stamp });
    } catch (error) {
      throw new Error(
        `cannot use the rule file ${path}: ${messageOf(error)}; mend it, or start without --rules`,
        { cause: error },
      );
    }
  }

  /** The rules that hold now. */
  async current(): Promise<AccessRules> {
    if (this.#path === "") return this.#rules;
    const stamp = await stampOf(this.#path).catch(() => "missing");
    if (stamp === this.#stamp) return this.#rules;
    this.#stamp = stamp;
    try {
      this.#rules = parseRules(await Deno.readTextFile(this.#path), this.#defaultUser);
      log.info("the rule file has changed", { file: this.#path });
    } catch (error) {
      log.error("the rule file is broken; the rules before it stay", {
        file: this.#path,
        error: messageOf(error),
      });
    }
    return this.#rules;
  }
}

/** Changes with the file: an editor writes it anew, a tool renames another one into its place. */
async function stampOf(path: string): Promise<string> {
  const { mtime, size, ino } = await Deno.stat(path);
  return `${mtime?.getTime()} ${size} ${ino}`;
}
