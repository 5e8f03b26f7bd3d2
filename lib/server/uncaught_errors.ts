/** Errors that no code has caught. */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/**
 * Logs uncaught errors from now on, instead of ending the process: an error in one call or
 * connection is no reason to end all others, and a restart would not correct it.
 *
 * @param target Where they are reported.
 */
export function logUncaughtErrors(target: EventTarget = globalThis): void {
  target.addEventListener("error", (event) => {
    report(event, event instanceof ErrorEvent ? event.error : undefined);
  });
  target.addEventListener("unhandledrejection", (event) => {
    report(event, event instanceof PromiseRejectionEvent ? event.reason : undefined);
  });
}

function report(event: { preventDefault(): void }, error: unknown): void {
  event.preventDefault();
  log.error("uncaught error", {
    error: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
}
