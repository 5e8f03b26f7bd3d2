/** The config file: servers by name, and who one is to each. */
import * as v from "valibot";
import { parseAddress } from "./address.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Terminal } from "../terminal.ts";

const PATH = v.pipe(v.string(), v.startsWith("/", "expected an absolute path"));

const CONTEXT = v.strictObject({
  server: v.pipe(v.string(), v.check(isAddress, "expected HOST:PORT")),
  identity: v.optional(PATH),
  ca: v.optional(PATH),
  cert: v.optional(PATH),
  key: v.optional(PATH),
});

/** A name that needs no quotes in a shell, and is no option. */
const NAME = v.pipe(
  v.string(),
  v.regex(/^\w[\w.-]{0,63}$/, "expected letters, digits, dots, dashes and underscores"),
);

const CONFIG = v.pipe(
  v.strictObject({ current: v.optional(NAME), contexts: v.record(NAME, CONTEXT) }),
  v.check(
    ({ current, contexts }) => current === undefined || Object.hasOwn(contexts, current),
    'the "current" context is not among the contexts',
  ),
);

/** A server, and the files that say who one is to it; without any, the default places are looked into. */
export type Context = v.InferOutput<typeof CONTEXT>;

/** What the config file says. */
export type Config = v.InferOutput<typeof CONFIG>;

/**
 * Where the config file is: `job-worker/config.json` in the folder for settings (XDG Base Directory
 * Specification).
 *
 * @returns Undefined where there is no home.
 */
export function configPath(terminal: Pick<Terminal, "environment">): string | undefined {
  const home = terminal.environment("HOME");
  const folder = terminal.environment("XDG_CONFIG_HOME") ?? (home && `${home}/.config`);
  return folder && `${folder}/job-worker/config.json`;
}

/**
 * Reads the config file; where there is none there are no contexts.
 *
 * @throws {ClientError} It cannot be read, or says something that is no config.
 */
export function readConfig(path: string | undefined): Config {
  try {
    return parseConfig(path === undefined ? "" : Deno.readTextFileSync(path));
  } catch (error) {
    if (isAbsent(error)) return { contexts: {} };
    throw new ClientError(
      `Cannot use the config file ${path}: ${messageOf(error)}. Mend it, or remove it.`,
      ExitStatus.usage,
    );
  }
}

/** @throws {Error} The text is no config; the message says where. */
export function parseConfig(text: string): Config {
  if (text.trim() === "") return { contexts: {} };
  const { success, output, issues } = v.safeParse(CONFIG, JSON.parse(text));
  if (success) return output;
  const [issue] = issues;
  const place = v.getDotPath(issue);
  throw new Error(place === null ? issue.message : `${place}: ${issue.message}`);
}

/**
 * Writes the config file as a whole or not at all, for the user alone.
 *
 * @throws {ClientError} It cannot be written.
 */
export function writeConfig(path: string, config: Config): void {
  const fresh = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(fresh, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
    Deno.renameSync(fresh, path);
  } catch (error) {
    throw new ClientError(
      `Cannot write the config file ${path}: ${messageOf(error)}.`,
      ExitStatus.failed,
    );
  }
}

/** @throws {ClientError} There is no such context; the message names those that there are. */
export function contextOf({ contexts }: Config, name: string): Context {
  const context = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (context !== undefined) return context;
  const names = Object.keys(contexts);
  throw new ClientError(
    `There is no context "${name}". ` +
      (names.length > 0
        ? `Choose of ${names.join(", ")}.`
        : 'Make one with "worker-client context add".'),
    ExitStatus.usage,
  );
}

/** @throws {ClientError} The name is none. */
export function checkName(name: string): void {
  const { success, issues } = v.safeParse(NAME, name);
  if (success) return;
  throw new ClientError(
    `Cannot name a context "${name}": ${issues[0].message}.`,
    ExitStatus.usage,
  );
}

/** A home that this user may not see, as with another user's HOME in the environment, is none. */
function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.PermissionDenied;
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}
