/** Who can put it right: whoever typed the command (`usage`), or whoever owns the files. */
export type CertsErrorKind = "usage" | "failure";

/** The only error this tool throws on purpose: its message is one line that says what to do. */
export class CertsError extends Error {
  override readonly name = "CertsError";

  /**
   * @param kind Decides the exit status: 2 for `usage`, 1 for `failure`.
   * @param message The action, the state, and what to do, in one line.
   */
  constructor(readonly kind: CertsErrorKind, message: string) {
    super(message);
  }
}

/**
 * Says in plain words why the system refused an operation on a file: Deno's own message repeats the
 * call and the error number, which help nobody at a prompt.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file or folder";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  const message = error instanceof Error ? error.message : String(error);
  const [reason = message] = message.split(/ \(os error|: /, 1);
  return reason.toLowerCase();
}
