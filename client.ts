import "./client/initialize_random.ts";
import { messageOf } from "./client/errors.ts";
import { ExitStatus } from "./client/exit_status.ts";
import { main } from "./client/program.ts";
import { processTerminal } from "./client/terminal.ts";

/**
 * Ends the process at once: an open connection or a timer would keep it alive for a while. All output
 * has been written by now.
 */
function exit(exitStatus: number): never {
  Deno.exit(exitStatus);
}

/** Reports an uncaught error without a stack trace. */
function exitOnUncaughtError(event: Event, cause: unknown): void {
  event.preventDefault();
  processTerminal.note(`Internal error: ${messageOf(cause)}. Please report it.`);
  exit(ExitStatus.failed);
}

addEventListener("error", (event) => exitOnUncaughtError(event, event.error));
addEventListener("unhandledrejection", (event) => exitOnUncaughtError(event, event.reason));

exit(await main(Deno.args, processTerminal));
