/** The disk of the log directory: whether it takes writes at all, before anything waits for it. */
import { isDiskFull } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript, ScriptTimeoutError } from "../shim/shell.ts";

/** A disk that takes longer is frozen or stuck; one that only has much to do answers by then. */
const DISK_TIMEOUT_MS = 10_000;

/**
 * Checks that the disk answers, in a process of its own: the server's own calls would stand still with it,
 * and the server could not even end.
 *
 * @param folder The log directory, which may be missing.
 * @param script Tests have one of their own.
 * @throws {Error} One line that says what to do. A full disk is no error: jobs can still be removed.
 */
export async function requireDisk(
  folder: string,
  { timeoutMs = DISK_TIMEOUT_MS, script = scripts.writable } = {},
): Promise<void> {
  const printed = await runScript(script, [folder], { timeoutMs }).catch((error: unknown) => {
    if (!(error instanceof ScriptTimeoutError)) throw error;
    throw new Error(
      `the disk of the log directory ${folder} does not answer: it is frozen (fsfreeze -u) or stuck, or ` +
        "its file server is away; nothing can start before it does",
      { cause: error },
    );
  });
  const problem = printed.trim();
  if (problem === "" || isDiskFull(new Error(problem))) return;
  throw new Error(
    `the disk of the log directory ${folder} refuses to be written: ${problem}; look at its mount, and ` +
      "for errors in the kernel's log (dmesg)",
  );
}
