/** The config file: contexts, which are servers and identities under names. */
import hostPath from "node:path";
import * as v from "valibot";
import { parseAddress } from "./address.ts";
import { codeOfFileError, DENO_FILES } from "./files.ts";
import { configFolder, type PathRules } from "./config_folder.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Terminal } from "../terminal.ts";

function contextSchema({ isAbsolute }: PathRules) {
  const path = v.optional(
    v.pipe(v.string(), v.check((text) => isAbsolute(text), "expected an absolute path")),
  );
  return v.strictObject({
    server: v.pipe(v.string(), v.check(isAddress, "expected HOST:PORT")),
    identity: path,
    ca: path,
    cert: path,
    key: path,
  });
}

/** A name that needs no quotes in a shell and cannot be taken for an option. */
const NAME = v.pipe(
  v.string(),
  v.regex(/^\w[\w.-]{0,63}$/, "expected letters, digits, dots, dashes and underscores"),
);

function configSchema(rules: PathRules) {
  return v.pipe(
    v.strictObject({
      current: v.optional(NAME),
      contexts: v.record(NAME, contextSchema(rules)),
    }),
    v.check(
      ({ current, contexts }) => current === undefined || Object.hasOwn(contexts, current),
      'the "current" context is not among the contexts',
    ),
  );
}

/** A server, and the files of the identity for it; without any the default places are searched. */
export type Context = v.InferOutput<ReturnType<typeof contextSchema>>;

/** The content of the config file. */
export type Config = v.InferOutput<ReturnType<typeof configSchema>>;

/** The path of the config file; undefined where there is no folder for it. */
export function configPath(terminal: Pick<Terminal, "environment">): string | undefined {
  const folder = configFolder((name) => terminal.environment(name));
  return folder && hostPath.join(folder, "config.json");
}

/**
 * Reads the config file; without one there are no contexts.
 *
 * @throws {ClientError} It cannot be read, or is not valid.
 */
export function readConfig(
  path: string | undefined,
  { readText } = DENO_FILES,
): Config {
  try {
    return parseConfig(path === undefined ? "" : readText(path));
  } catch (error) {
    if (isAbsent(error)) return { contexts: {} };
    throw new ClientError(
      `Cannot use the config file ${path}: ${messageOf(error)}. Correct it, or delete it.`,
      ExitStatus.usage,
    );
  }
}

/**
 * @param rules What an absolute path looks like: on this system unless given.
 * @throws {Error} The text is not valid; the message says where.
 */
export function parseConfig(text: string, rules: PathRules = hostPath): Config {
  if (text.trim() === "") return { contexts: {} };
  const { success, output, issues } = v.safeParse(configSchema(rules), JSON.parse(text));
  if (success) return output;
  const [issue] = issues;
  const place = v.getDotPath(issue);
  throw new Error(place === null ? issue.message : `${place}: ${issue.message}`);
}

/**
 * Replaces the config file atomically; only the user may read it.
 *
 * @throws {ClientError} It cannot be written.
 */
export function writeConfig(path: string, config: Config): void {
  const fresh = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.mkdirSync(hostPath.dirname(path), { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(fresh, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
    Deno.renameSync(fresh, path);
  } catch (error) {
    throw new ClientError(
      `Cannot write the config file ${path}: ${messageOf(error)}.`,
      ExitStatus.failed,
    );
  }
}

/** @throws {ClientError} There is no such context; the message names the existing ones. */
export function contextOf({ contexts }: Config, name: string): Context {
  const context = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (context !== undefined) return context;
  const names = Object.keys(contexts);
  throw new ClientError(
    `There is no context "${name}". ` +
      (names.length > 0
        ? `Choose one of ${names.join(", ")}.`
        : 'Make one with "worker-client context add".'),
    ExitStatus.usage,
  );
}

/** @throws {ClientError} The name is not valid. */
export function checkName(name: string): void {
  const { success, issues } = v.safeParse(NAME, name);
  if (success) return;
  throw new ClientError(
    `Cannot name a context "${name}": ${issues[0].message}.`,
    ExitStatus.usage,
  );
}

/** A folder that this user may not read (another user's HOME, for instance) counts as absent. */
function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EACCES", "EPERM"].includes(codeOfFileError(error) ?? "");
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}
