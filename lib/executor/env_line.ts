/** Which program env(1) starts in the first line of a script. Pure. */

/** The option by which env splits the one argument that the kernel gives it; `v` may be before it. */
const SPLIT = /^(?:-v*S|--split-string[= ])[ \t]*(.*)$/;

/** What env does more than to split at blanks: quotes, escapes, variables and comments. */
const SPECIAL = /["'\\$#]/;

/**
 * @param argument What follows env in the first line: the kernel gives it as one argument.
 * @returns The name that env looks for in PATH; undefined where it does something else, or that cannot be
 * told with certainty.
 */
export function programOfEnv(argument: string): string | undefined {
  const split = SPLIT.exec(argument)?.[1];
  if (split === undefined) {
    return argument === "" || argument.startsWith("-") || argument.includes("=")
      ? undefined
      : argument;
  }
  if (SPECIAL.test(split)) return undefined;
  const words = split.split(/[ \t]+/);
  const assignments = words.findIndex((word) => !word.includes("="));
  const word = words[assignments];
  // Options may change PATH, as assignments may.
  if (word === undefined || word === "" || word.startsWith("-")) return undefined;
  return words.slice(0, assignments).some((one) => one.startsWith("PATH=")) ? undefined : word;
}
