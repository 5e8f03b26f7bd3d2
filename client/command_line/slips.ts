/** Command lines of a start that a shell would understand, and what to write instead. Pure. */

/** What a shell acts on in a word. */
const SHELL_SYNTAX = /[|&;<>$`*?()]/;

/** Commands that are no programs: shells have them built in (POSIX, "Special Built-In Utilities"). */
const BUILT_IN: ReadonlySet<string> = new Set([
  ...[".", ":", "alias", "cd", "eval", "exec", "exit", "export", "fg", "history", "if", "for"],
  ...[
    "jobs",
    "read",
    "set",
    "shift",
    "source",
    "trap",
    "type",
    "ulimit",
    "umask",
    "unset",
    "while",
  ],
]);

/**
 * A hint for a program that the server has not found.
 *
 * @param words The program and its arguments.
 * @returns Undefined where it looks like any other name.
 */
export function slipOf([program = "", ...args]: readonly string[]): string | undefined {
  const line = [program, ...args].join(" ");
  if (/^[A-Za-z_]\w*=/.test(program) && !program.includes(" ")) {
    return `Variables go before the program: -e ${program}`;
  }
  if (program === "cd") {
    return `The working directory of a job is -C${args[0] === undefined ? "" : ` ${args[0]}`}`;
  }
  if (/\.pem$/.test(program)) {
    return `"run -i" sends the job this command's standard input; an identity is --identity ${program}`;
  }
  if (BUILT_IN.has(program)) return `"${program}" is built into shells: sh -c ${quoted(line)}`;
  if (!/\s/.test(program)) return undefined;
  return SHELL_SYNTAX.test(program)
    ? `There is no shell unless you start one: sh -c ${quoted(program)}`
    : `The program and its arguments are words of their own, without quotes: ${program.trim()}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
