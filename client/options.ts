import { type Command, InvalidArgumentError, Option } from "commander";
import { ClientError } from "./errors.ts";
import { ExitStatus } from "./exit_status.ts";
import type { IdentityFiles } from "./identity.ts";

/** What every verb understands, before it or after it. */
export interface CommonOptions extends IdentityFiles {
  /** `HOST:PORT`. */
  readonly server?: string;
  /** Of the config file. */
  readonly context?: string;
  /** False: `--no-retry`, which some verbs have. */
  readonly retry?: boolean;
}

/** Gives a command the options for reaching the server. */
export function addCommonOptions(command: Command): Command {
  const add = (flags: string, description: string) =>
    command.addOption(new Option(flags, description).helpGroup("Connection:"));
  add("--server <host:port>", "the server (default: localhost:50051; env: JOB_WORKER_SERVER)");
  add("--context <name>", 'one of "worker-client context list" (env: JOB_WORKER_CONTEXT)');
  add(
    "-i, --identity <file>",
    "key, certificate and CA in one PEM file (env: JOB_WORKER_IDENTITY)",
  );
  add("--ca <file>", "the CA's certificate (env: JOB_WORKER_CA)");
  add("--cert <file>", "your certificate (env: JOB_WORKER_CERT)");
  add("--key <file>", "your certificate's private key (env: JOB_WORKER_KEY)");
  return command;
}

/**
 * An option with a value of its own kind.
 *
 * @param flags As commander takes them.
 * @param description For the help text.
 * @param parse Reads the value; what it throws is said to the user.
 */
export function parsedOption(
  flags: string,
  description: string,
  { parse }: { parse: (text: string) => unknown },
): Option {
  return new Option(flags, description).argParser((text: string) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  });
}

/** An option that may be given several times; its value is the list. */
export function collectedOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, earlier: string[] = []) => [
    ...earlier,
    text,
  ]);
}

/** The option `--label` of verbs that choose jobs by it. */
export function labelOption(): Option {
  return collectedOption("-l, --label <key=value>", "with this label; may be repeated");
}

/**
 * Reads `KEY=VALUE` texts.
 *
 * @param option Named in the error.
 * @throws {ClientError} One has no `=`, or nothing before it.
 */
export function parsePairs(texts: readonly string[] = [], option: string): Record<string, string> {
  return Object.fromEntries(texts.map((text) => parsePair(text, option)));
}

function parsePair(text: string, option: string): [key: string, value: string] {
  const index = text.indexOf("=");
  if (index > 0) return [text.slice(0, index), text.slice(index + 1)];
  // The text may be a secret whose name was forgotten.
  throw new ClientError(`${option} expects NAME=VALUE.`, ExitStatus.usage);
}
