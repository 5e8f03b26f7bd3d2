import type { Terminal } from "./terminal.ts";

/** Nobody wonders before. */
const SLOW_MS = 3_000;

/**
 * Says once what is waited for, when that has lasted a few seconds and somebody looks.
 *
 * @returns Disposed of when the waiting is over.
 */
export function noteWhenSlow(terminal: Terminal, text: string): Disposable {
  if (!terminal.isAttended) return { [Symbol.dispose]: () => {} };
  const timer = setTimeout(() => terminal.note(text), SLOW_MS);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
