/** Reads the rule file when it has changed. */
import { RenewedFile } from "./renewed_file.ts";
import { AccessRules, parseRules } from "./rules.ts";

/** The rules in the file, and the rules in force. */
export class RuleFile {
  readonly #rules: { current(): Promise<AccessRules> };

  private constructor(rules: { current(): Promise<AccessRules> }) {
    this.#rules = rules;
  }

  /**
   * @param path Empty: there is no rule file, and the roles alone decide.
   * @param defaultUser The user that jobs run as by default.
   * @throws {Error} When the file is missing or invalid.
   */
  static async open(path: string, defaultUser: string): Promise<RuleFile> {
    if (path === "") {
      const rules = new AccessRules({ rules: [], unnamed: "allowed" }, defaultUser);
      return new RuleFile({ current: () => Promise.resolve(rules) });
    }
    return new RuleFile(
      await RenewedFile.open(path, {
        name: "rule file",
        changed: "the rule file has changed",
        invalid: "the rule file is invalid; keeping the previous rules",
        option: "--rules",
        readText: (file) => Deno.readTextFile(file),
        parse: (text) => parseRules(text, defaultUser),
      }),
    );
  }

  /** The rules in force. Reads the file again where it has changed; an invalid one is ignored. */
  current(): Promise<AccessRules> {
    return this.#rules.current();
  }
}
