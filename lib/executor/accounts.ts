/** The accounts of this host. */
import { JobError } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** See {@linkcode Executor.accountOf}. */
export async function accountOf(uid: number): Promise<string | undefined> {
  return readAccount(await runScript(scripts.user, [String(uid)], { who: "accounts" }), uid);
}

/**
 * Reads what lib/shim/user.sh prints.
 *
 * @returns The account's name; undefined where none has exactly this uid.
 * @throws {JobError} "precondition" where the host cannot look it up.
 */
export function readAccount(printed: string, uid: number): string | undefined {
  const [name, , found] = /^user (.*)$/m.exec(printed)?.[1]?.split(":") ?? [];
  if (name !== undefined && found === String(uid)) return name;
  const missing = /^missing (getent.*)$/m.exec(printed)?.[1];
  if (missing === undefined) return undefined;
  throw new JobError(
    "precondition",
    `Cannot start the job: the server's host lacks the program ${missing}; give the user by name`,
  );
}
