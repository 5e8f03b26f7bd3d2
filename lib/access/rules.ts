/** The rule file: it narrows what callers may do within their roles, by role or by name. Pure. */
import * as v from "valibot";
import { JobError, quoted } from "../errors.ts";
import type { JobRequest } from "../model/request.ts";
import { type Caller, METHOD_NAMES, ROLES } from "../rbac.ts";

/** Matches one argument. */
const ANY_WORD = "*";

/** At the end of a command: matches all further arguments. */
const ANY_WORDS = "**";

const WORD = v.pipe(v.string(), v.nonEmpty());

/** A program with any arguments, or a list of the program and each argument. */
const COMMAND = v.pipe(
  v.union([WORD, v.pipe(v.array(v.string()), v.nonEmpty())]),
  v.transform((command) => typeof command === "string" ? [command, ANY_WORDS] : command),
  v.check(
    (words) => !words.slice(0, -1).includes(ANY_WORDS) && words[0] !== ANY_WORDS,
    `"${ANY_WORDS}" is allowed only at the end of a command`,
  ),
);

const RULE = v.pipe(
  v.strictObject({
    role: v.optional(v.picklist(ROLES)),
    name: v.optional(WORD),
    methods: v.optional(v.array(v.picklist(METHOD_NAMES))),
    jobs: v.optional(v.picklist(["own", "all"])),
    commands: v.optional(v.array(COMMAND)),
    users: v.optional(v.array(WORD)),
    environment: v.optional(v.array(WORD)),
    directories: v.optional(v.array(WORD)),
  }),
  v.check(
    ({ role, name }) => role !== undefined || name !== undefined,
    'a rule needs a "role" or a "name", or both',
  ),
);

const FILE = v.strictObject({ rules: v.array(RULE) });

type Rule = v.InferOutput<typeof RULE>;

/** The rules of a file. Every rule for a caller must allow what the caller asks for. */
export class AccessRules {
  readonly #rules: readonly Rule[];
  readonly #defaultUser: string;

  /**
   * @param rules Empty: the roles alone decide.
   * @param defaultUser The user that jobs run as by default; it needs no rule.
   */
  constructor(rules: readonly Rule[], defaultUser: string) {
    this.#rules = rules;
    this.#defaultUser = defaultUser;
  }

  /** @throws {JobError} "denied" when the caller may not call a method such as `Start`. */
  requireMethod(caller: Caller, method: string): void {
    for (const { methods } of this.#rulesOf(caller)) {
      if (methods === undefined || methods.includes(method)) continue;
      throw denied(`${caller.name} may not call ${method}`);
    }
  }

  /** Whether the caller may see and change the jobs of an owner; the others do not exist for it. */
  mayTouchJobsOf(caller: Caller, owner: string): boolean {
    return caller.name === owner || !this.ownJobsOnly(caller);
  }

  /** Whether the caller may see and change its own jobs only. */
  ownJobsOnly(caller: Caller): boolean {
    return this.#rulesOf(caller).some(({ jobs }) => jobs === "own");
  }

  /** @throws {JobError} "denied" when the caller may not start such a job. */
  requireStart(caller: Caller, { command, settings, secrets }: JobRequest): void {
    const rules = this.#rulesOf(caller);
    this.#requireUser(caller, rules, settings.user);
    const words = [command.name, ...command.args];
    for (const { commands, environment, directories } of rules) {
      if (commands !== undefined && !commands.some((pattern) => matches(pattern, words))) {
        throw denied(`${caller.name} may not start this command`);
      }
      // With another PATH or in another folder, an allowed command may be another program.
      const isNarrow = commands !== undefined;
      const variables = environment ?? (isNarrow ? [] : undefined);
      const names = Object.keys(secrets.environment);
      const refused = variables && names.find((name) => !variables.includes(name));
      if (refused !== undefined) {
        throw denied(`${caller.name} may not set the environment variable ${quoted(refused)}`);
      }
      const folders = directories ?? (isNarrow ? ["/"] : undefined);
      if (folders !== undefined && !folders.includes(settings.workingDirectory)) {
        throw denied(`${caller.name} may not start a job in this working directory`);
      }
    }
  }

  #requireUser(caller: Caller, rules: readonly Rule[], user: string): void {
    if (user === this.#defaultUser) return;
    const lists = rules.flatMap(({ users }) => users === undefined ? [] : [users]);
    // Without a rule about users: who may run jobs as root may run them as anyone.
    const isAllowed = lists.length === 0
      ? this.#defaultUser === "root" && rules.every(({ commands }) => commands === undefined)
      : lists.every((users) => users.includes(user));
    if (!isAllowed) throw denied(`${caller.name} may not run jobs as ${user}`);
  }

  #rulesOf({ name, roles }: Caller): Rule[] {
    return this.#rules.filter((rule) =>
      (rule.name === undefined || rule.name === name) &&
      (rule.role === undefined || roles.includes(rule.role))
    );
  }
}

/**
 * Parses a rule file.
 *
 * @param text JSON: `{"rules": [...]}`.
 * @throws {Error} With the place and what was expected there.
 */
export function parseRules(text: string, defaultUser: string): AccessRules {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not valid JSON: ${error instanceof Error ? error.message : error}`);
  }
  const result = v.safeParse(FILE, value);
  if (result.success) return new AccessRules(result.output.rules, defaultUser);
  const [issue] = result.issues;
  throw new Error(`${v.getDotPath(issue) ?? "the whole file"}: ${issue.message}`);
}

function matches(pattern: readonly string[], words: readonly string[]): boolean {
  const isOpen = pattern.at(-1) === ANY_WORDS;
  const fixed = isOpen ? pattern.slice(0, -1) : pattern;
  if (isOpen ? words.length < fixed.length : words.length !== fixed.length) return false;
  return fixed.every((word, index) => word === ANY_WORD || word === words[index]);
}

function denied(reason: string): JobError {
  return new JobError("denied", `${reason}: the server's rule file does not allow it`);
}
