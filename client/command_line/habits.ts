/** Command lines that hands are used to from other tools, and what is meant by them here. Pure. */
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/** Verbs of other tools, and what they are called here. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  add: "start",
  attach: "stream or input",
  cancel: "stop",
  clean: "remove --all",
  continue: "signal CONT",
  delete: "remove",
  describe: "query --long",
  enqueue: "start --queue",
  exec: "run",
  follow: "stream",
  get: "list",
  info: "query",
  jobs: "list",
  log: "logs",
  pause: "signal STOP",
  prune: "remove --all",
  restart: "rerun",
  result: "query",
  resume: "signal CONT",
  retry: "rerun",
  show: "query",
  status: "query",
  submit: "start",
  tail: "logs -f",
  unpause: "signal CONT",
};

/** Verbs of other tools for which there is nothing here. */
const MISSING: Readonly<Record<string, string>> = {
  build: "there are no images here: a job runs on the server's host as it is",
  cp: "copy files with scp, or through run -i and the job's output",
  edit: "a job keeps what it was started with",
  pull: "there are no images here: a job runs on the server's host as it is",
  rename: "a job keeps the name that it was started with",
};

/** What to write in place of an unknown verb; undefined where other tools have none of this name. */
export function hintOf(verb: string): string | undefined {
  if (Object.hasOwn(OTHER_NAMES, verb)) return ` (Did you mean ${OTHER_NAMES[verb]}?)`;
  return Object.hasOwn(MISSING, verb) ? `: ${MISSING[verb]}` : undefined;
}

const TERMINAL_FLAGS: ReadonlySet<string> = new Set(["-it", "-ti", "-t", "--tty"]);

/**
 * Reads `kill -9 JOB` as kill(1) does, and refuses what would be read as something else: `start -it`
 * would have an identity in the file `t`.
 *
 * @throws {ClientError} With what to write instead.
 */
export function fromHabits(args: readonly string[]): readonly string[] {
  const [verb = "", ...words] = args;
  if (verb === "run" || verb === "start") refuseTerminal(verb, words);
  if (verb !== "kill") return args;
  const signal = /^-(\d+|[A-Z][A-Z\d]+)$/.exec(words[0] ?? "")?.[1];
  return signal === undefined ? args : ["kill", "-s", signal, ...words.slice(1)];
}

function refuseTerminal(verb: "run" | "start", words: readonly string[]): void {
  // Behind the first word that is no option there is the program, or the value of an option.
  const end = words.findIndex((word) => !word.startsWith("-"));
  const flag = words.slice(0, end < 0 ? words.length : end).find((word) =>
    TERMINAL_FLAGS.has(word)
  );
  if (flag === undefined) return;
  throw new ClientError(
    `There is no option ${flag}: jobs have no terminal. "${
      verb === "run" ? "-i" : "--stdin -"
    }" gives a job this command's standard input.`,
    ExitStatus.usage,
  );
}
