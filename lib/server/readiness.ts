/** Tells systemd, where it has started the server, that the server accepts calls. */
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH, shell } from "../shim/shell.ts";

/**
 * Tells systemd that the start is complete (sd_notify(3)). Does nothing where the environment names
 * no socket for it.
 */
export async function tellReady(): Promise<void> {
  const socket = Deno.env.get("NOTIFY_SOCKET");
  if (socket === undefined) return;
  const environment = { PATH: PROGRAM_PATH, NOTIFY_SOCKET: socket };
  const { success } = await shell(scripts.ready, [], environment).output();
  if (!success) {
    log.warn("cannot tell systemd that the server is ready: is systemd-notify installed?");
  }
}
