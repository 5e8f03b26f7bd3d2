/** Reads the rule file when it has changed. An invalid one changes nothing, and is logged. */
import { AccessRules, parseRules } from "./rules.ts";
import { versionOf } from "../../common/file_version.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** The rules in the file, and the rules in force. */
export class RuleFile {
  readonly #path: string;
  readonly #defaultUser: string;
  #rules: AccessRules;
  /** The text that was read last, and its version. */
  #text: string;
  #version: string;
  /** Ends when that version is in force, or refused. */
  #reading: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    defaultUser: string,
    { rules, text, version }: { rules: AccessRules; text: string; version: string },
  ) {
    this.#path = path;
    this.#defaultUser = defaultUser;
    this.#rules = rules;
    this.#text = text;
    this.#version = version;
  }

  /**
   * @param path Empty: there is no rule file, and the roles alone decide.
   * @param defaultUser The user that jobs run as by default.
   * @throws {Error} When the file is missing or invalid.
   */
  static async open(path: string, defaultUser: string): Promise<RuleFile> {
    if (path === "") {
      const rules = new AccessRules({ rules: [], unnamed: "allowed" }, defaultUser);
      return new RuleFile(path, defaultUser, { rules, text: "", version: "" });
    }
    try {
      const version = await versionOf(path);
      const text = await Deno.readTextFile(path);
      const rules = parseRules(text, defaultUser);
      return new RuleFile(path, defaultUser, { rules, text, version });
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
    const version = await versionOf(this.#path).catch(() => "missing");
    if (version !== this.#version) {
      this.#version = version;
      this.#reading = this.#read();
    }
    // Also where another call has begun to read: rules that were replaced hold for no later call.
    await this.#reading;
    return this.#rules;
  }

  async #read(): Promise<void> {
    try {
      const text = await Deno.readTextFile(this.#path);
      if (text === this.#text) return;
      this.#text = text;
      this.#rules = parseRules(text, this.#defaultUser);
      log.info("the rule file has changed", { file: this.#path });
    } catch (error) {
      log.error("the rule file is invalid; keeping the previous rules", {
        file: this.#path,
        error: messageOf(error),
      });
    }
  }
}
