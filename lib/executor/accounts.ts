/** The accounts and groups of this host. */
import { JobError, quoted } from "../errors.ts";
import type { FoundGroup } from "../executor.ts";
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
  requireGetent(printed, "give the user by name");
  return undefined;
}

/** See {@linkcode Executor.groupOf}. */
export async function groupOf(user: string, group: string): Promise<FoundGroup | undefined> {
  const printed = await runScript(scripts.group, [user, group], { who: "accounts" });
  return readGroup(printed, { user, group });
}

/**
 * Reads what lib/shim/group.sh prints.
 *
 * @param asked A user's name, and a group's name or gid.
 * @returns Undefined where there is no such group.
 * @throws {JobError} "invalid" where there is no such user, "precondition" where the host cannot look it up.
 */
export function readGroup(
  printed: string,
  { user, group }: { readonly user: string; readonly group: string },
): FoundGroup | undefined {
  requireGetent(printed, "leave the group out");
  const [name = "", , gid = ""] = /^group (.*)$/m.exec(printed)?.[1]?.split(":") ?? [];
  if (!/^\d+$/.test(gid) || ![name, gid].includes(group)) return undefined;
  const gids = /^member (.*)$/m.exec(printed)?.[1]?.split(" ");
  if (gids !== undefined) return { name, hasUser: gids.includes(gid) };
  throw new JobError(
    "invalid",
    `Cannot start the job: the server's host has no user ${quoted(user)}`,
  );
}

function requireGetent(printed: string, advice: string): void {
  const missing = /^missing (getent.*)$/m.exec(printed)?.[1];
  if (missing === undefined) return;
  throw new JobError(
    "precondition",
    `Cannot start the job: the server's host lacks the program ${missing}; ${advice}`,
  );
}
