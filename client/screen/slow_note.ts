import type { Terminal } from "../terminal.ts";

/** How long something may take before that is noted. */
const SLOW_MS = 3_000;

/** How long something that should be over soon may take before that is noted for the logs of a script. */
const SLOW_FOR_SCRIPTS_MS = 5_000;

/**
 * Notes once what the client waits for, when that takes a few seconds and standard error is a terminal.
 *
 * @param text Makes the line.
 * @param options `always`: also where standard error is no terminal, a little later.
 * @returns To be disposed of when the wait is over.
 */
export function noteWhenSlow(
  terminal: Terminal,
  text: () => string,
  { always = false }: NoteOptions = {},
): Disposable {
  if (!terminal.isAttended && !always) return { [Symbol.dispose]: () => {} };
  const delayMs = terminal.isAttended ? SLOW_MS : SLOW_FOR_SCRIPTS_MS;
  const timer = setTimeout(() => terminal.note(text()), delayMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Where a wait is noted. */
export interface NoteOptions {
  readonly always?: boolean;
}

/** At most so many jobs are named; more are counted. */
const MAX_NAMED = 3;

/** Jobs for such a line: `job a`, `jobs a and b` or `17 jobs`. */
export function describeJobs(names: readonly string[]): string {
  if (names.length > MAX_NAMED) return `${names.length} jobs`;
  return `${names.length === 1 ? "job" : "jobs"} ${names.join(" and ")}`;
}

/** Notes, when it takes long, which of several jobs are still waited for. */
export class PendingJobs implements Disposable {
  readonly #pending: Set<string>;
  readonly #note: Disposable;

  /** @param describe Makes the line, given {@linkcode describeJobs} of those that are left. */
  constructor(
    names: readonly string[],
    { terminal, describe, ...options }: NoteOptions & {
      terminal: Terminal;
      describe: (jobs: string) => string;
    },
  ) {
    this.#pending = new Set(names);
    const text = () => describe(describeJobs([...this.#pending]));
    this.#note = noteWhenSlow(terminal, text, options);
  }

  /** One job has ended. */
  settle(name: string): void {
    this.#pending.delete(name);
  }

  [Symbol.dispose](): void {
    this.#note[Symbol.dispose]();
  }
}
