/** The rules: they narrow what callers may do within their roles, by role or by name. Pure. */
import { JobError, quoted } from "../errors.ts";
import type { JobRequest } from "../model/request.ts";
import { MAPPED_USER } from "../model/mapped_user.ts";
import { OWNER_UID } from "../model/owner_uids.ts";
import { DEFAULT_SETTINGS, userText } from "../model/settings.ts";
import type { Caller } from "../rbac.ts";
import {
  ANY_WORD,
  ANY_WORDS,
  readRules,
  type Rule,
  type RuleFileContent,
  type StartOption,
} from "./rule_schema.ts";

/** The rules of a file. Every rule for a caller must allow what the caller asks for. */
export class AccessRules {
  readonly #rules: readonly Rule[];
  /** Whether only callers whose name is in a rule may call anything. */
  readonly #isForNamedOnly: boolean;
  readonly #defaultUser: string;

  /**
   * @param content What the rule file says; no rules: the roles alone decide.
   * @param defaultUser The user that jobs run as by default.
   */
  constructor({ rules, unnamed }: RuleFileContent, defaultUser: string) {
    this.#rules = rules;
    this.#isForNamedOnly = unnamed === "refused";
    this.#defaultUser = defaultUser;
  }

  /** @throws {JobError} "denied" when the caller may not call a method such as `Start`. */
  requireMethod(caller: Caller, method: string): void {
    const rules = this.#rulesOf(caller);
    if (this.#isForNamedOnly && rules.every(({ name }) => name === undefined)) {
      throw denied(`no rule names ${quoted(caller.name)}`);
    }
    for (const { methods } of rules) {
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

  /** Whether a job of the caller may get an environment variable of this name. */
  mayPassVariable(caller: Caller, name: string): boolean {
    return this.#rulesOf(caller).every((rule) => variablesOf(rule)?.includes(name) ?? true);
  }

  /** @throws {JobError} "denied" when the caller may not start such a job. */
  requireStart(caller: Caller, request: JobRequest): void {
    const { command, settings, secrets } = request;
    const rules = this.#rulesOf(caller);
    this.#requireUser(caller, rules, request);
    const words = [command.name, ...command.args];
    const used = optionsOf(request);
    const demanded = rules.flatMap(({ isolation = [] }) => isolation);
    for (const rule of rules) {
      const { commands, options, directories, queues } = rule;
      const isNarrow = commands !== undefined;
      if (isNarrow && !commands.some((pattern) => matches(pattern, words))) {
        throw denied(`${caller.name} may not start this command`);
      }
      const variables = variablesOf(rule);
      const names = Object.keys(secrets.environment);
      const refused = variables && names.find((name) => !variables.includes(name));
      if (refused !== undefined) {
        throw denied(`${caller.name} may not set the environment variable ${quoted(refused)}`);
      }
      // In another folder, with another input or another umask, an allowed command does other things.
      const folders = directories ?? (isNarrow ? [DEFAULT_SETTINGS.workingDirectory] : undefined);
      if (folders !== undefined && !folders.includes(settings.workingDirectory)) {
        throw denied(`${caller.name} may not start a job in this working directory`);
      }
      const queue = settings.queue?.queue ?? "";
      if (queues !== undefined && !queues.includes(queue)) {
        throw denied(`${caller.name} may not start a job ${inQueue(queue, queues)}`);
      }
      const allowed = options ?? (isNarrow ? [] : undefined);
      const excess = allowed &&
        used.find((option) => ![...allowed, ...demanded].includes(option));
      if (excess !== undefined) throw denied(`${caller.name} may not use ${spoken(excess)}`);
    }
    const missing = demanded.find((option) => !used.includes(option));
    if (missing !== undefined) {
      throw denied(`${caller.name} may not start a job without ${spoken(missing)}`);
    }
  }

  /** @throws {JobError} "denied" when the caller may not give jobs limits of its own, or take such away. */
  requireLimits(caller: Caller): void {
    for (const { options, commands } of this.#rulesOf(caller)) {
      const allowed = options ?? (commands === undefined ? undefined : []);
      if (allowed === undefined || allowed.includes("limits")) continue;
      throw denied(`${caller.name} may not use ${spoken("limits")}`);
    }
  }

  #requireUser(
    caller: Caller,
    rules: readonly Rule[],
    { settings, isOfItsGroup }: JobRequest,
  ): void {
    const { user, group } = settings;
    const lists = rules.flatMap(({ users }) => users === undefined ? [] : [users]);
    // A uid that only the caller's own jobs have gives nobody another user's rights. Without a rule: who may run jobs as root may run them as anyone.
    const isAllowed = lists.length === 0
      // With a user map, that has decided.
      ? user === this.#defaultUser || this.#defaultUser === MAPPED_USER ||
        this.#defaultUser === "root" && rules.every(({ commands }) => commands === undefined)
      : user === OWNER_UID || lists.every((users) => users.includes(user));
    const text = userText(settings);
    // With another group a job has what that group has: root's own files, where it is docker or disk. And an
    // allowed command does other things.
    const isFree = group === undefined ||
      isOfItsGroup === true && rules.every(({ commands }) => commands === undefined);
    const isNamed = group !== undefined && lists.length > 0 &&
      lists.every((users) => users.includes(text));
    if (isNamed || isAllowed && isFree) return;
    if (isAllowed) {
      const problem = isOfItsGroup === true ? "" : `${user} is not in the group ${group}, and `;
      throw denied(`${problem}no rule lets ${caller.name} run jobs as ${text}`);
    }
    const [first = [], ...others] = lists;
    const usable = first.filter((name) => others.every((users) => users.includes(name)));
    const hint = usable.length === 0 ? "" : `, only as ${usable.join(" or ")} (--user)`;
    throw denied(`${caller.name} may not run jobs as ${text}${hint}`);
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
  return new AccessRules(readRules(text), defaultUser);
}

/** The variables that a rule allows, undefined: any. With another PATH a command is another program. */
function variablesOf({ environment, commands }: Rule): readonly string[] | undefined {
  return environment ?? (commands === undefined ? undefined : []);
}

/** What a start asks for besides the command, its user, its folder and its environment. */
function optionsOf({ settings, secrets, limits }: JobRequest): StartOption[] {
  const { umask, timeoutMs, graceMs, stopSignal, isolation, openFiles } = settings;
  const isUsed: Record<StartOption, boolean> = {
    "stdin": secrets.input.length > 0 || settings.openStdin === true,
    "umask": umask !== DEFAULT_SETTINGS.umask,
    "timeout": timeoutMs !== DEFAULT_SETTINGS.timeoutMs,
    "grace": graceMs !== undefined,
    "stop-signal": stopSignal !== DEFAULT_SETTINGS.stopSignal,
    "limits": Object.keys(limits).length > 0,
    "nofile": openFiles !== undefined,
    "private-tmp": isolation.privateTmp,
    "no-network": isolation.noNetwork,
    "own-processes": isolation.ownProcesses,
  };
  return (Object.keys(isUsed) as StartOption[]).filter((option) => isUsed[option]);
}

/** A queue that is refused, and those that are not. */
function inQueue(queue: string, queues: readonly string[]): string {
  const asked = queue === "" ? "without a queue" : `in the queue ${quoted(queue)}`;
  const named = queues.filter((name) => name !== "");
  return named.length === 0 ? asked : `${asked}, only in ${named.join(" or ")} (--queue)`;
}

function spoken(option: StartOption): string {
  return option === "limits" ? "limits of its own" : `--${option}`;
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
