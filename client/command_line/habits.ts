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

/** The same below `context`. */
const OTHER_CONTEXT_NAMES: Readonly<Record<string, string>> = {
  create: "add",
  current: "list",
  delete: "remove",
  get: "list",
  inspect: "list",
  set: "add",
  show: "list",
  switch: "use",
  update: "add",
};

/** Verbs of other tools for which there is nothing here. */
const MISSING: Readonly<Record<string, string>> = {
  build: "there are no images here: a job runs on the server's host as it is",
  cp: "copy files with scp, or through run -i and the job's output",
  edit: "a job keeps what it was started with",
  pull: "there are no images here: a job runs on the server's host as it is",
  rename: "a job keeps the name that it was started with",
};

/** Options of other tools, by the verbs that are meant, and what to write here instead. */
const OTHER_OPTIONS: readonly (readonly [verbs: string, options: string, instead: string])[] = [
  ["start run rerun", "-w --workdir --chdir --working-directory", "write -C DIR"],
  ["start run rerun", "-m", "write --memory SIZE"],
  ["start run rerun", "--uid", "write --user USER"],
  ["start run rerun", "--time --time-limit", "write --timeout DURATION"],
  ["start run rerun", "--restart", "a job runs once; a systemd unit is kept running"],
  [
    "start run rerun",
    "-v --volume --mount -p --publish --image",
    "there are no containers: a job sees the host's files and network",
  ],
  ["remove rm", "-f --force", 'write "stop JOB" first if it runs, and --yes not to be asked'],
  ["list ls ps", "-f --filter", "write --state STATE, --label KEY=VALUE or --owner NAME"],
  ["list ls ps", "--name", 'write "query NAME"'],
  ["list ls ps", "--running", "write --state running"],
  ["list ls ps", "-w --watch", 'write "top", or "events"'],
  ["list ls ps", "--no-trunc", "write --json, or --format"],
  ["stats", "--no-stream", 'leave it out, "stats" prints once'],
  ["stream", "-f --follow", 'leave it out, "stream" follows unless --no-follow is given'],
  ["stream", "-n", "write --tail N"],
];

/** What to write in place of an unknown option; undefined where other tools have none of this name. */
export function optionHintOf(verb: string, option: string): string | undefined {
  const [name = ""] = option.split("=", 1);
  return OTHER_OPTIONS.find(([verbs, options]) =>
    verbs.split(" ").includes(verb) && options.split(" ").includes(name)
  )?.[2];
}

/**
 * What to write in place of an unknown verb; undefined where other tools have none of this name.
 *
 * @param below The verb that it stands below, such as `context`.
 */
export function hintOf(verb: string, below?: string): string | undefined {
  if (below !== undefined) {
    const isKnown = Object.hasOwn(OTHER_CONTEXT_NAMES, verb);
    return isKnown ? ` (Did you mean ${OTHER_CONTEXT_NAMES[verb]}?)` : undefined;
  }
  if (Object.hasOwn(OTHER_NAMES, verb)) return ` (Did you mean ${OTHER_NAMES[verb]}?)`;
  return Object.hasOwn(MISSING, verb) ? `: ${MISSING[verb]}` : undefined;
}

const LIST_NAMES: ReadonlySet<string> = new Set(["list", "ls", "ps"]);

const TERMINAL_FLAGS: ReadonlySet<string> = new Set(["-it", "-ti", "-t", "--tty"]);

/**
 * Reads `kill -9 JOB` as kill(1) does, and `ps --status` as others have it, and refuses what would be read as
 * something else: `start -it` would have an identity in the file `t`.
 *
 * @throws {ClientError} With what to write instead.
 */
export function fromHabits(args: readonly string[]): readonly string[] {
  const [verb = "", ...words] = args;
  if (LIST_NAMES.has(verb)) return args.map((word) => word.replace(/^--status(?==|$)/, "--state"));
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
