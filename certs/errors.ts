/** What is to be corrected: the command line (`usage`), or files and their permissions. */
export type CertsErrorKind = "usage" | "failure";

/** An expected error: its message is one line that says what to do. Any other error is a defect. */
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
 * Says why the system refused an operation on a file, without the system call and the error number
 * that Deno's own message adds.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file or folder";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  const message = error instanceof Error ? error.message : String(error);
  const [reason = message] = message.split(/ \(os error|: /, 1);
  return reason.toLowerCase();
}
