import { Argument, Command, CommanderError } from "commander";
import config from "../deno.json" with { type: "json" };
import { completionScript, type Shell, SHELLS } from "./command_line/completion.ts";
import { fromHabits, hintOf, optionHintOf } from "./command_line/habits.ts";
import { addContextCommand } from "./verbs/context.ts";
import { ClientError, ClosedOutputError, messageOf } from "./errors.ts";
import { ExitStatus } from "./exit_status.ts";
import { addCommonOptions, type CommonOptions } from "./command_line/options.ts";
import { Servers } from "./command_line/servers.ts";
import type { Terminal } from "./terminal.ts";
import type { JobKind, Verb } from "./command_line/verb.ts";
import { doctorVerb } from "./verbs/doctor.ts";
import { eventsVerb } from "./verbs/events.ts";
import { inputVerb } from "./verbs/input.ts";
import { listVerb } from "./verbs/list.ts";
import { killVerb } from "./verbs/kill.ts";
import { logsVerb } from "./verbs/logs.ts";
import { inspectVerb, queryVerb } from "./verbs/query.ts";
import { rerunVerb } from "./verbs/rerun.ts";
import { removeVerb } from "./verbs/remove.ts";
import { runVerb } from "./verbs/run.ts";
import { signalVerb } from "./verbs/signal.ts";
import { statsVerb } from "./verbs/stats.ts";
import { startVerb } from "./verbs/start.ts";
import { stopVerb } from "./verbs/stop.ts";
import { streamVerb } from "./verbs/stream.ts";
import { topVerb } from "./verbs/top.ts";
import { uiVerb } from "./verbs/ui.ts";
import { updateVerb } from "./verbs/update.ts";
import { versionVerb } from "./verbs/version.ts";
import { waitVerb } from "./verbs/wait.ts";

const VERBS: readonly Verb[] = [
  startVerb,
  stopVerb,
  queryVerb,
  listVerb,
  statsVerb,
  topVerb,
  uiVerb,
  streamVerb,
  eventsVerb,
  waitVerb,
  runVerb,
  inputVerb,
  signalVerb,
  updateVerb,
  removeVerb,
  doctorVerb,
  versionVerb,
  rerunVerb,
  inspectVerb,
  killVerb,
  logsVerb,
];

/** Which jobs verbs work with, by the verb. */
export const JOB_KINDS: ReadonlyMap<string, JobKind> = new Map(
  VERBS.flatMap(({ name, jobs }) => jobs === undefined ? [] : [[name, jobs] as const]),
);

/** How wide help is, unless the terminal is narrower. */
const HELP_COLUMNS = 80;

const HELP = `
Examples:
  worker-client start ls /
  worker-client query a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stream a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stop a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client --server worker1:50051 -i alice.pem run make test

Identity: the files that options name, else the environment; else client.pem, or
ca.crt with client.crt and client.key, or the only other identity in ./certs or
~/.config/job-worker.

Exit status:
  0  done                       3  no connection to a server that can be trusted
  1  failed                     4  refused, or no usable identity
  2  usage error                5  no such job
"run" and "wait" exit with the job's exit code; their own failures are 125.`;

/**
 * Runs one command line.
 *
 * @param args What stands after the program's name.
 * @param terminal Where output goes and the environment comes from.
 * @returns The exit status; errors have been reported on standard error.
 */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const call: Call = { exitStatus: ExitStatus.ok, verb: undefined, words: [] };
  try {
    const program = createProgram({ call, terminal, verbs: namedVerbs(args) });
    const at = verbAt(args, program);
    call.verb = VERBS.find(({ name }) => name === args[at]);
    const read = [...args.slice(0, at), ...fromHabits(args.slice(at))];
    const words = withoutUnknownHelp(read, program);
    await program.parseAsync(words, { from: "user" });
    return call.exitStatus;
  } catch (error) {
    return report(error, call, terminal);
  }
}

/** What is known of a command line while it is executed. */
interface Call {
  exitStatus: number;
  verb: Verb | undefined;
  /** What a command below a verb is called, such as `context add`. */
  words: readonly string[];
}

/**
 * The verbs whose names are on the command line, or all of them. Defining the options of the others
 * would take a twentieth of a short call.
 */
function namedVerbs(args: readonly string[]): readonly Verb[] {
  // The verb stands first, or behind options of which one may have a verb's name as its value.
  const words = args[0]?.startsWith("-") || args[0] === "help" ? args : args.slice(0, 1);
  const named = VERBS.filter(({ name, aliases = [] }) =>
    [name, ...aliases].some((word) => words.includes(word))
  );
  return named.length > 0 ? named : VERBS;
}

/** Where the verb stands: behind the options that all verbs have. */
function verbAt(args: readonly string[], { options }: Command): number {
  let at = 0;
  for (let word = args[at]; word?.startsWith("-"); word = args[at]) {
    const hasValue = options.some((option) =>
      option.required && [option.short, option.long].includes(word)
    );
    at += hasValue ? 2 : 1;
  }
  return at;
}

/** For the help of an unknown command commander would print the general help, without an error. */
function withoutUnknownHelp(args: readonly string[], program: Command): readonly string[] {
  const [first, name] = args;
  if (first !== "help" || name === undefined || name.startsWith("-")) return args;
  const isKnown = [
    "help",
    ...program.commands.flatMap((command) => [command.name(), ...command.aliases()]),
  ]
    .includes(name);
  return isKnown ? args : [name];
}

/** What a program is made for. */
interface ProgramOptions {
  readonly call: Call;
  readonly terminal: Terminal;
  readonly verbs: readonly Verb[];
}

function createProgram({ call, terminal, verbs }: ProgramOptions): Command {
  const program = new Command("worker-client");
  program.description("Starts, watches and stops jobs on a job worker, over mutual TLS.");
  program.version(`worker-client ${config.version}`, "--version", "print the version");
  program.enablePositionalOptions();
  program.configureOutput({
    writeOut: (text) => terminal.write(new TextEncoder().encode(text)),
    writeErr: (text) => terminal.write(new TextEncoder().encode(text)),
    outputError: () => {}, // The error is also thrown, and `report` prints it.
    // Long lines are hard to read, and examples are written for 80 columns.
    getOutHelpWidth: () => Math.min(terminal.columns ?? HELP_COLUMNS, HELP_COLUMNS),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  // In a narrow terminal the second column is narrow, too.
  program.configureHelp({ minWidthToWrap: 12 });
  program.helpOption("-h, --help", "print this help");
  program.helpCommand("help [command]", "print the help of a command");
  program.exitOverride();
  addCommonOptions(program);
  program.addHelpText("after", HELP);
  for (const verb of verbs) addVerb(program, verb, { call, terminal });
  if (verbs === VERBS) {
    nameInErrors(addContextCommand(program, terminal), call);
    addCompletion(program, terminal);
  }
  return program;
}

/** Has an error in a command below a verb, or in the verb, know where it was made. */
function nameInErrors(command: Command, call: Call, words: readonly string[] = []): void {
  const path = [...words, command.name()];
  command.exitOverride((error) => {
    call.words = path;
    throw error;
  });
  for (const below of command.commands) nameInErrors(below, call, path);
}

const NO_INPUT: AsyncIterable<Uint8Array> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
};

/** The program's definition, for what is made of it: its help, completion and reference. */
export function describeProgram(): Command {
  const nullTerminal: Terminal = {
    columns: undefined,
    isUnicode: true,
    hasColours: false,
    isAttended: false,
    rows: undefined,
    onKey: () => () => {},
    onResize: () => () => {},
    write: () => {},
    writeError: () => {},
    note: () => {},
    isFile: () => Promise.resolve(false),
    isFed: () => Promise.resolve(false),
    showProgress: () => {},
    input: () => NO_INPUT,
    isTyped: false,
    ask: () => Promise.resolve(""),
    read: () => Promise.resolve(new Uint8Array()),
    environment: () => undefined,
    onInterrupt: () => () => {},
    dropWritePermission: () => {},
  };
  const call = { exitStatus: ExitStatus.ok, verb: undefined, words: [] };
  return createProgram({ call, terminal: nullTerminal, verbs: VERBS });
}

function addCompletion(program: Command, terminal: Terminal): void {
  const command = program.command("completion");
  command.summary("print a completion script for a shell");
  command.description(
    "Prints a script that makes a shell complete verbs, options, and names and ids of jobs.",
  );
  command.addArgument(new Argument("<shell>", "the shell").choices(SHELLS));
  command.addHelpText(
    "after",
    `
Examples:
  worker-client completion bash > /etc/bash_completion.d/worker-client
  worker-client completion zsh > "\${fpath[1]}/_worker-client"
  worker-client completion fish > ~/.config/fish/completions/worker-client.fish`,
  );
  command.action((shell: Shell) => {
    terminal.write(new TextEncoder().encode(completionScript(shell, program, JOB_KINDS)));
  });
}

function addVerb(
  program: Command,
  verb: Verb,
  { call, terminal }: { call: Call; terminal: Terminal },
): void {
  const command = program.command(verb.name);
  command.aliases([...verb.aliases ?? []]);
  verb.define(command);
  addCommonOptions(command, verb);
  command.exitOverride((error) => {
    call.verb = verb;
    throw error;
  });
  command.action(async () => {
    call.verb = verb;
    requireJobs(command, verb);
    verb.check?.(command);
    // Options after the verb take precedence over those before it.
    const options: CommonOptions = { ...program.opts(), ...command.opts() };
    terminal.dropWritePermission();
    using servers = new Servers({ options, verb: verb.name, terminal });
    call.exitStatus = await verb.run({ servers, terminal }, command);
  });
}

/**
 * A negative number is an argument for commander, and no name of a job begins with a dash.
 *
 * @throws {ClientError} One stands in the place of a job; nothing has been done to the others.
 */
function requireJobs({ args, registeredArguments }: Command, { name, jobs }: Verb): void {
  if (jobs === undefined) return;
  const first = registeredArguments.findIndex((argument) => argument.name() === "id");
  const wrong = args.slice(first).find((text) => text.startsWith("-"));
  if (wrong === undefined) return;
  const hint = name === "stop"
    ? '"worker-client stop --grace 0 JOB" kills a job at once.'
    : `See "worker-client ${name} --help".`;
  throw new ClientError(`"${wrong}" is not a job. ${hint}`, ExitStatus.usage);
}

/** Reports an error in one line, and maps it to an exit status. */
function report(error: unknown, { verb, words }: Call, terminal: Terminal): number {
  if (error instanceof ClosedOutputError) return ExitStatus.ok;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return ExitStatus.ok;
    // "commander.help" is the help text in place of a missing verb: it has been printed.
    if (error.code !== "commander.help") terminal.note(describeUsage(error, { verb, words }));
    return verb?.failureStatus ?? ExitStatus.usage;
  }
  if (error instanceof ClientError) {
    terminal.note(error.message);
    return verb?.failureStatus ?? error.exitStatus;
  }
  terminal.note(`Internal error: ${messageOf(error)}. Please report it.`);
  return verb?.failureStatus ?? ExitStatus.failed;
}

function describeUsage(
  error: CommanderError,
  { verb, words }: Pick<Call, "verb" | "words">,
): string {
  const text = messageOf(error).replace(/^error: /, "").replace(/\.$/, "")
    .replace(
      /^(unknown command '([\w-]+)').*/,
      (whole, problem, name) =>
        `${problem}${hintOf(name, words[0]) ?? whole.slice(problem.length)}`,
    )
    .replace(
      /^unknown option '(-[^']*)'.*/,
      (whole, option) => {
        const instead = optionHintOf(verb?.name ?? "", option);
        return instead === undefined
          ? whole
          : `there is no option ${option.split("=", 1)[0]}: ${instead}`;
      },
    );
  const help = ["worker-client", ...(verb ? [verb.name] : words), "--help"].join(" ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}. See "${help}".`;
}
