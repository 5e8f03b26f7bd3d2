import "./client/initialize_random.ts";
import { messageOf } from "./client/errors.ts";
import { ExitStatus } from "./client/exit_status.ts";
import { main } from "./client/program.ts";
import { processTerminal } from "./client/terminal.ts";

/**
 * Ends the process at once: an open connection or a timer would keep it for a while, and all output
 * has been written.
 */
function leave(exitStatus: number): never {
  Deno.exit(exitStatus);
}

/** Nobody shall see a stack trace, not even of a mistake of ours. */
function leaveBroken(event: Event, cause: unknown): void {
  event.preventDefault();
  processTerminal.note(`Internal error: ${messageOf(cause)}. Please report it.`);
  leave(ExitStatus.failed);
}

addEventListener("error", (event) => leaveBroken(event, event.error));
addEventListener("unhandledrejection", (event) => leaveBroken(event, event.reason));

leave(await main(Deno.args, processTerminal));
