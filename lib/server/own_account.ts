/** The user that the server runs as. */
import { runScript } from "../shim/shell.ts";

/** A user of this host. */
export interface Account {
  readonly uid: number;
  readonly name: string;
}

/** Who a server is that runs jobs on its own host. */
export const ROOT: Account = { uid: 0, name: "root" };

/**
 * Looks up who the server runs as: the runtime tells it only to programs with a further permission.
 *
 * @throws When the host has no room for a process.
 */
export async function ownAccount(): Promise<Account> {
  const [uid = "", name = ""] = (await runScript("id -u && id -un\n")).trim().split("\n");
  return { uid: Number(uid), name };
}
