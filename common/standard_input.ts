/** Names of a process's standard input; the runtime does not open the last three by themselves. */
const NAMES: ReadonlySet<unknown> = new Set(["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]);

/** Whether a value is a name of standard input. */
export function isStandardInput(name: unknown): boolean {
  return NAMES.has(name);
}
