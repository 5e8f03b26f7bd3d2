/** A hint for who waits for output that a program keeps to itself. */
import type { Terminal } from "../terminal.ts";

/** A program that is silent for so long may keep its output back. */
const SILENT_MS = 10_000;

/** Programs that keep what they print to a pipe, and what makes them print it at once. */
const BUFFERING: readonly (readonly [program: RegExp, remedy: string])[] = [
  [/^(python|pypy)[\d.]*$/, "-e PYTHONUNBUFFERED=1"],
  [/^perl[\d.]*$/, "$| = 1 in the script"],
  [/^ruby[\d.]*$/, "$stdout.sync = true in the script"],
  [/^[efz]?grep$/, "--line-buffered"],
  [/^sed$/, "-u"],
  [/^(awk|gawk|mawk|cut|tr|sort|uniq)$/, "stdbuf -oL before it"],
];

/**
 * What to tell of a program that has printed nothing.
 *
 * @param words The program and its arguments.
 * @param variables Those that the job is given, as `NAME=VALUE`.
 * @returns Undefined where it is not known to keep its output back, or is told not to.
 */
export function bufferingHintOf(
  [program = "", ...args]: readonly string[],
  variables: readonly string[] = [],
): string | undefined {
  const name = program.slice(program.lastIndexOf("/") + 1);
  const remedy = BUFFERING.find(([pattern]) => pattern.test(name))?.[1];
  if (
    remedy === undefined || args.some((word) => /^-[a-zA-Z]*u|^--(line-|un)buffered/.test(word))
  ) {
    return undefined;
  }
  if (variables.some((variable) => variable.startsWith("PYTHONUNBUFFERED="))) return undefined;
  return `no output yet: ${name} keeps what it prints to a pipe until there is much of it; ${remedy} ` +
    "lets it come at once";
}

/** Tells the hint once, where a person waits at a terminal and nothing comes. */
export class BufferingHint implements Disposable {
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param hint Undefined: there is nothing to tell. */
  constructor(terminal: Pick<Terminal, "isAttended" | "note">, hint: string | undefined) {
    if (hint === undefined || !terminal.isAttended) return;
    this.#timer = setTimeout(() => terminal.note(hint), SILENT_MS);
  }

  /** Output has come, or nobody waits any more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
