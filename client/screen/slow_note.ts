import type { Terminal } from "../terminal.ts";

/** Nobody wonders before. */
const SLOW_MS = 3_000;

/**
 * Says once what is waited for, when that has lasted a few seconds and somebody looks.
 *
 * @param text Made when it is needed.
 * @returns Disposed of when the waiting is over.
 */
export function noteWhenSlow(terminal: Terminal, text: () => string): Disposable {
  if (!terminal.isAttended) return { [Symbol.dispose]: () => {} };
  const timer = setTimeout(() => terminal.note(text()), SLOW_MS);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** So many jobs are named; more are counted. */
const MAX_NAMED = 3;

/** Jobs for such a line: `job a`, `jobs a and b` or `17 jobs`. */
export function describeJobs(names: readonly string[]): string {
  if (names.length > MAX_NAMED) return `${names.length} jobs`;
  return `${names.length === 1 ? "job" : "jobs"} ${names.join(" and ")}`;
}

/** Notes, when it lasts, which of several jobs are still waited for. */
export class PendingJobs implements Disposable {
  readonly #pending: Set<string>;
  readonly #note: Disposable;

  /** @param describe Makes the line, given {@linkcode describeJobs} of those that are left. */
  constructor(
    names: readonly string[],
    { terminal, describe }: { terminal: Terminal; describe: (jobs: string) => string },
  ) {
    this.#pending = new Set(names);
    this.#note = noteWhenSlow(terminal, () => describe(describeJobs([...this.#pending])));
  }

  /** One is not waited for any more. */
  settle(name: string): void {
    this.#pending.delete(name);
  }

  [Symbol.dispose](): void {
    this.#note[Symbol.dispose]();
  }
}
