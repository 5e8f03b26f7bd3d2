import type { Command, Option } from "commander";

/** Shells that completion is made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of {@linkcode SHELLS}. */
export type Shell = typeof SHELLS[number];

/** Verbs whose arguments are jobs. */
const JOB_VERBS: ReadonlySet<string> = new Set([
  "stop",
  "query",
  "stream",
  "wait",
  "signal",
  "remove",
]);

/** Commands below `context` whose argument is a context. */
const CONTEXT_VERBS = ["use", "remove", "rm"];

/** Completes contexts: their names, from the config file. */
const CONTEXTS = "worker-client context list --quiet 2>/dev/null";

/** Completes jobs: their names and ids, the newest first; nothing where no server answers. */
const LIST_JOBS = "worker-client list --all --limit 100";
const JOBS = `${LIST_JOBS} --format '{title}\\n{jobID}' 2>/dev/null`;

/** The same with the context that was typed (`prod/`). */
const PLACED_JOBS = `--format '{context}/{title}\\n{context}/{jobID}' 2>/dev/null`;

/**
 * The script with which a shell completes command lines, generated from the definitions of verbs and
 * options.
 *
 * @param program With all its verbs.
 */
export function completionScript(shell: Shell, program: Command): string {
  switch (shell) {
    case "bash":
      return bashScript(program);
    case "zsh":
      // zsh can load bash completion.
      return `#compdef worker-client\nautoload -U +X bashcompinit && bashcompinit\n${
        bashScript(program)
      }`;
    case "fish":
      return fishScript(program);
  }
}

function bashScript(program: Command): string {
  const verbs = program.commands.map((verb) => verb.name());
  const cases = program.commands.map((verb) => {
    const words = flagsOfAll(verb);
    return `    ${verb.name()}) options="${words}" ;;`;
  });
  const jobs = verbs.filter((verb) => JOB_VERBS.has(verb)).join("|");
  const below = program.commands.find((verb) => verb.name() === "context")?.commands ?? [];
  return `_worker_client() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb= options= option= word
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
  COMPREPLY=()
  if [[ $before == --context ]]; then
    # Of several, what stands in front of the last comma is there already.
    local earlier=
    [[ $current == *,* ]] && earlier=\${current%,*},
    COMPREPLY=($(compgen -P "$option$earlier" -W "$(${CONTEXTS})" -- "\${current##*,}"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -z $verb ]]; then
    COMPREPLY=($(compgen -W "${verbs.join(" ")}" -- "$current"))
  else
    case $verb in ${jobs})
      if [[ $current == */* ]]; then
        COMPREPLY=($(compgen -W "$(${LIST_JOBS} --context "\${current%%/*}" ${PLACED_JOBS} |
          grep -v '/-$')" -- "$current"))
      else
        COMPREPLY=($(compgen -W "$(${JOBS} | grep -v '^-$')" -- "$current"))
      fi ;;
    context)
      case $before in ${CONTEXT_VERBS.join("|")})
        COMPREPLY=($(compgen -W "$(${CONTEXTS})" -- "$current")) ;;
      context)
        COMPREPLY=($(compgen -W "${below.map((verb) => verb.name()).join(" ")}" -- "$current")) ;;
      esac ;;
    esac
  fi
}
complete -o default -F _worker_client worker-client
`;
}

function fishScript(program: Command): string {
  const lines = [
    "function __worker_client_jobs",
    "  set -l word (commandline -ct)",
    "  if string match -q '*/*' -- $word",
    `    ${LIST_JOBS} --context (string split -m 1 / -- $word)[1] ${PLACED_JOBS} |`,
    "      string match -v '*/-'",
    "  else",
    `    ${JOBS} | string match -v -- -`,
    "  end",
    "end",
    "complete -c worker-client -f",
    ...visible(program).map((option) =>
      `complete -c worker-client -n __fish_use_subcommand ${fishOption(option)}`
    ),
  ];
  for (const verb of program.commands) {
    const isVerb = `-n '__fish_seen_subcommand_from ${verb.name()}'`;
    lines.push(
      `complete -c worker-client -n __fish_use_subcommand -a ${verb.name()} ` +
        `-d ${quote(verb.summary())}`,
      ...visible(verb).map((option) => `complete -c worker-client ${isVerb} ${fishOption(option)}`),
    );
    if (JOB_VERBS.has(verb.name())) {
      lines.push(`complete -c worker-client ${isVerb} -a "(__worker_client_jobs)"`);
    }
    if (verb.name() === "context") {
      const isBelow = `-n '__fish_seen_subcommand_from ${CONTEXT_VERBS.join(" ")}'`;
      const below = verb.commands.flatMap((command) => [command.name(), ...command.aliases()]);
      const isAbove = `-n '__fish_seen_subcommand_from ${verb.name()}; and ` +
        `not __fish_seen_subcommand_from ${below.join(" ")}'`;
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

function fishOption(option: Option): string {
  const { short, long, description, required } = option;
  return [
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    ...(long === undefined || long === null ? [] : [`-l ${long.slice(2)}`]),
    ...(long === "--context" ? [`-x -a "(${CONTEXTS})"`] : required ? ["-r"] : []),
    `-d ${quote(description)}`,
  ].join(" ");
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
