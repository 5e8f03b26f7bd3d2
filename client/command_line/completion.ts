import type { Command, Option } from "commander";
import { SIGNALS } from "../../common/signals.ts";
import { STATE_WORDS } from "../jobs/selection.ts";
import { SORT_KEYS } from "../screen/sort.ts";
import type { JobKind } from "./verb.ts";

/** Shells that completion is made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of {@linkcode SHELLS}. */
export type Shell = typeof SHELLS[number];

/** Commands below `context` whose argument is a context. */
const CONTEXT_VERBS = ["use", "remove", "rm"];

/** Completes contexts: their names, from the config file. */
const CONTEXTS = "worker-client context list --quiet 2>/dev/null";

/** Completes queues: their names, from the server. */
const QUEUES = "worker-client doctor 2>/dev/null | sed -n 's/^ok  *queue  *\\([^:]*\\):.*/\\1/p'";

/** Options of `list` that find the jobs of a kind. */
const LIST_OPTIONS: Readonly<Record<JobKind, string>> = {
  all: "--all",
  running: "",
  ended: "--state exited --state lost --state never-ran",
};

/** Prints the name and the id of each job, the newest first; nothing where no server answers. */
const LIST_JOBS = "worker-client list --limit 100 --format '{name}\\t{jobID}'";

/** What can stand behind an option, or as the argument of a verb. */
interface Values {
  /** Absent: of every verb that has the option. */
  readonly verb?: string;
  /** Absent: the verb's own first argument. */
  readonly options?: readonly string[];
  readonly words: readonly string[];
}

const VALUES: readonly Values[] = [
  { options: ["--state"], words: STATE_WORDS },
  { options: ["--sort"], words: SORT_KEYS },
  { options: ["--stop-signal"], words: SIGNALS },
  { verb: "kill", options: ["-s", "--signal"], words: SIGNALS },
  { verb: "signal", words: SIGNALS },
  { verb: "completion", words: SHELLS },
];

/**
 * The script with which a shell completes command lines, generated from the definitions of verbs and
 * options.
 *
 * @param program With all its verbs.
 * @param jobs Which jobs the arguments of verbs name, by the verb.
 */
export function completionScript(
  shell: Shell,
  program: Command,
  jobs: ReadonlyMap<string, JobKind>,
): string {
  switch (shell) {
    case "bash":
      return bashScript(program, jobs);
    case "zsh":
      // zsh can load bash completion.
      return `#compdef worker-client\nautoload -U +X bashcompinit && bashcompinit\n${
        bashScript(program, jobs)
      }`;
    case "fish":
      return fishScript(program, jobs);
  }
}

function namesOf(command: Command): string[] {
  return [command.name(), ...command.aliases()];
}

function bashScript(program: Command, jobs: ReadonlyMap<string, JobKind>): string {
  const cases = program.commands.map((verb) => {
    const kind = jobs.get(verb.name());
    const lists = kind === undefined ? "" : ` list="${LIST_OPTIONS[kind]} "`;
    return `    ${namesOf(verb).join("|")}) name=${verb.name()} options="${
      flagsOfAll(verb)
    }"${lists} ;;`;
  });
  const values = VALUES.map(({ verb = "*", options = [verb], words }) => {
    const patterns = options.map((option) => `${verb}" "${option}`).join("|");
    return `    ${patterns}) words="${words.join(" ")}" ;;`;
  });
  const verbs = program.commands.flatMap(namesOf);
  const below = program.commands.find((verb) => verb.name() === "context")?.commands ?? [];
  return `_worker_client_jobs() { # WORD OPTION...: each job once, by its name where it has one
  local word=$1 prefix= name id
  shift
  if [[ $word == */* ]]; then
    prefix=\${word%%/*}/ word=\${word#*/}
    set -- "$@" --context "\${prefix%/}"
  fi
  ${LIST_JOBS} "$@" 2>/dev/null | while IFS=$'\\t' read -r name id; do
    if [[ $name != - && $name == "$word"* ]]; then echo "$prefix$name"
    elif [[ $id == "$word"* ]]; then echo "$prefix$id"; fi
  done
}
_worker_client() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb= name= options= list= words= option= word
  # "--context=x" comes as three words from bash.
  if [[ $current == = ]]; then current=; before=\${COMP_WORDS[COMP_CWORD-1]}
  elif [[ $before == = ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  # From zsh it is one.
  if [[ $current == --context=* ]]; then
    option=--context= before=--context current=\${current#*=}
  fi
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
    case $word in ${verbs.join("|")}) verb=$word; break ;; esac
  done
  case $verb in
    "") options="${flagsOfAll(program)}" ;;
${cases.join("\n")}
  esac
  case "$name $before" in
${values.join("\n")}
  esac
  COMPREPLY=()
  if [[ $before == --context ]]; then
    # Of several, what stands in front of the last comma is there already.
    local earlier=
    [[ $current == *,* ]] && earlier=\${current%,*},
    COMPREPLY=($(compgen -P "$option$earlier" -W "$(${CONTEXTS})" -- "\${current##*,}"))
  elif [[ $before == --queue ]]; then
    COMPREPLY=($(compgen -W "$(${QUEUES})" -- "$current"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -z $verb ]]; then
    COMPREPLY=($(compgen -W "${verbs.join(" ")}" -- "$current"))
  elif [[ -n $list ]]; then
    # eval splits the options in zsh, too.
    COMPREPLY=($(compgen -W "$(eval "_worker_client_jobs \\"\\$current\\" $list")" -- "$current"))
  elif [[ $verb == context ]]; then
    case $before in ${CONTEXT_VERBS.join("|")})
      COMPREPLY=($(compgen -W "$(${CONTEXTS})" -- "$current")) ;;
    context)
      COMPREPLY=($(compgen -W "${below.map((verb) => verb.name()).join(" ")}" -- "$current")) ;;
    esac
  fi
}
complete -o default -F _worker_client worker-client
`;
}

function fishScript(program: Command, jobs: ReadonlyMap<string, JobKind>): string {
  const lines = [
    "function __worker_client_jobs # OPTION...: each job once, by its name where it has one",
    "  set -l word (commandline -ct)",
    "  set -l prefix ''",
    "  if string match -q '*/*' -- $word",
    "    set prefix (string split -m 1 / -- $word)[1]/",
    "    set word (string split -m 1 / -- $word)[2]",
    "    set -a argv --context (string trim -r -c / -- $prefix)",
    "  end",
    `  ${LIST_JOBS} $argv 2>/dev/null | while read -d \\t -l name id`,
    '    if test $name != -; and string match -q -- "$word*" $name',
    "      echo $prefix$name",
    '    else if string match -q -- "$word*" $id',
    "      echo $prefix$id",
    "    end",
    "  end",
    "end",
    "complete -c worker-client -f",
    ...visible(program).map((option) =>
      `complete -c worker-client -n __fish_use_subcommand ${fishOption(option)}`
    ),
  ];
  for (const verb of program.commands) {
    const seen = `__fish_seen_subcommand_from ${namesOf(verb).join(" ")}`;
    const isVerb = `-n '${seen}'`;
    const values = VALUES.find((own) => own.options === undefined && own.verb === verb.name());
    const hasValue = values === undefined
      ? ""
      : `__fish_seen_subcommand_from ${values.words.join(" ")}`;
    lines.push(
      ...namesOf(verb).map((name) =>
        `complete -c worker-client -n __fish_use_subcommand -a ${name} -d ${quote(verb.summary())}`
      ),
      ...visible(verb).map((option) =>
        `complete -c worker-client ${isVerb} ${fishOption(option, verb)}`
      ),
    );
    if (values !== undefined) {
      lines.push(
        `complete -c worker-client -n '${seen}; and not ${hasValue}' -a "${
          values.words.join(" ")
        }"`,
      );
    }
    const kind = jobs.get(verb.name());
    if (kind !== undefined) {
      const isJob = values === undefined ? isVerb : `-n '${seen}; and ${hasValue}'`;
      lines.push(
        `complete -c worker-client ${isJob} -a "(__worker_client_jobs ${LIST_OPTIONS[kind]})"`,
      );
    }
    if (verb.name() === "context") {
      const isBelow = `-n '__fish_seen_subcommand_from ${CONTEXT_VERBS.join(" ")}'`;
      const below = verb.commands.flatMap(namesOf);
      const isAbove = `-n '${seen}; and not __fish_seen_subcommand_from ${below.join(" ")}'`;
      lines.push(
        ...verb.commands.map((command) =>
          `complete -c worker-client ${isAbove} -a ${command.name()} -d ${quote(command.summary())}`
        ),
        `complete -c worker-client ${isBelow} -a "(${CONTEXTS})"`,
      );
    }
    if (verb.name() === "start" || verb.name() === "run") {
      lines.push(`complete -c worker-client ${isVerb} -F`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The options that help shows. */
function visible(command: Command): readonly Option[] {
  return command.options.filter(({ hidden }) => !hidden);
}

function flagsOfAll(command: Command): string {
  return visible(command).flatMap(flagsOf).concat("--help").join(" ");
}

function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter((flag) => flag !== undefined);
}

function fishOption(option: Option, command?: Command): string {
  const { short, long, description, required } = option;
  const values = VALUES.find(({ verb = command?.name(), options = [] }) =>
    verb === command?.name() && flagsOf(option).some((flag) => options.includes(flag))
  );
  const value = long === "--context"
    ? [`-x -a "(${CONTEXTS})"`]
    : long === "--queue"
    ? [`-x -a "(${QUEUES})"`]
    : values !== undefined
    ? [`-x -a "${values.words.join(" ")}"`]
    : required
    ? ["-r"]
    : [];
  return [
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    ...(long === undefined || long === null ? [] : [`-l ${long.slice(2)}`]),
    ...value,
    `-d ${quote(description)}`,
  ].join(" ");
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
