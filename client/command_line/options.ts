import { type Command, InvalidArgumentError, Option } from "commander";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { ServerOptions } from "../endpoint/choose_endpoint.ts";
import { isStateWord, STATE_WORDS } from "../jobs/selection.ts";
import { splitContexts } from "../endpoint/context_names.ts";

/** Options that every verb has, before its name or after it. */
export interface CommonOptions extends ServerOptions {
  /** Of the config file; several, where the verb asks several servers. */
  readonly context?: readonly string[];
  /** All of the config file. */
  readonly allContexts?: true;
  /** False: `--no-retry`, which some verbs have. */
  readonly retry?: boolean;
}

/** Options that name a server and an identity, and the environment variables for them. */
const ENDPOINT_OPTIONS = [
  ["--server <host:port>", "the server, by default localhost:50051", "JOB_WORKER_SERVER"],
  ["-i, --identity <file>", "key, certificate and CA in one PEM file", "JOB_WORKER_IDENTITY"],
  ["--ca <file>", "the CA's certificate", "JOB_WORKER_CA"],
  ["--cert <file>", "your certificate", "JOB_WORKER_CERT"],
  ["--key <file>", "your certificate's private key", "JOB_WORKER_KEY"],
] as const;

/** Gives a command the options that name a server and an identity. */
export function addEndpointOptions(command: Command): void {
  for (const [flags, description] of ENDPOINT_OPTIONS) {
    command.addOption(connectionOption(flags, description));
  }
}

/**
 * Gives a command the options for reaching the server.
 *
 * @param asksSeveral Whether it asks several servers where several contexts are named. The other verbs
 * have these options, too, so that they are refused with the reason.
 */
export function addCommonOptions(command: Command, { asksSeveral = false } = {}): Command {
  const taken = command.options.map(({ short }) => short);
  for (const [flags, description, variable] of ENDPOINT_OPTIONS) {
    // A verb may have a use of its own for the short one.
    const isTaken = taken.some((short) => short !== undefined && flags.startsWith(`${short},`));
    const own = isTaken ? flags.replace(/^-., /, "") : flags;
    command.addOption(connectionOption(own, `${description} (env: ${variable})`));
  }
  command.addOption(
    connectionOption(
      asksSeveral ? "--context <names>" : "--context <name>",
      asksSeveral
        ? "contexts of the config file, such as prod,lab (env: JOB_WORKER_CONTEXT)"
        : "a context of the config file (env: JOB_WORKER_CONTEXT)",
    ).argParser((text: string, earlier: string[] = []) => splitContexts(text, earlier)),
  );
  return command.addOption(
    connectionOption("--all-contexts", "all contexts of the config file").hideHelp(!asksSeveral),
  );
}

function connectionOption(flags: string, description: string): Option {
  return new Option(flags, description).helpGroup("Connection:");
}

/**
 * An option with a value of its own kind.
 *
 * @param flags As commander takes them.
 * @param description For the help text.
 * @param parse Reads the value, with what the option's earlier values were read as; the message of what it
 * throws is shown to the user.
 */
export function parsedOption(
  flags: string,
  description: string,
  { parse }: { parse: (text: string, earlier?: never) => unknown },
): Option {
  return new Option(flags, description).argParser((text: string, earlier: unknown) => {
    try {
      return parse(text, earlier as never);
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

/** The option `--state` of verbs that select jobs; its value is a list of words. */
export function stateOption(): Option {
  return new Option("--state <state>", `${STATE_WORDS.join(", ")}; may be repeated`)
    .argParser((text: string, earlier: readonly string[] = []) => {
      const word = text.toLowerCase();
      if (isStateWord(word)) return [...earlier, word];
      throw new InvalidArgumentError(`Choose one of ${STATE_WORDS.join(", ")}.`);
    });
}

/** The option `--label` of verbs that select jobs. */
export function labelOption(): Option {
  return collectedOption("-l, --label <key=value>", "jobs with this label; may be repeated");
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
  // The text is not shown: it may be a secret without a name.
  const hint = option === "--env" && index < 0
    ? ' A job has none of your variables: -e NAME="$NAME" passes one on.'
    : "";
  throw new ClientError(`${option} expects NAME=VALUE.${hint}`, ExitStatus.usage);
}
