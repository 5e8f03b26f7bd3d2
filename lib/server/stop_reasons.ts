/** Why the server stops: a signal, or too much memory. */
import { log } from "../log.ts";
import { MemoryWatch } from "./memory_watch.ts";

/** How often the memory is checked. */
const MEMORY_INTERVAL_MS = 1000;

/**
 * Waits for SIGTERM, SIGINT or SIGQUIT. A signal with a listener is not ignored, so that jobs do not
 * inherit a signal that was ignored when the server was started (a shell does that with `&`).
 */
export function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
      Deno.addSignalListener(signal, () => {
        log.info("stopping", { signal });
        resolve();
      });
    }
  });
}

/**
 * Waits until a new process should replace this one, because each connection leaks memory on this
 * runtime.
 *
 * @param limitBytes The limit of the resident memory; Infinity: none.
 */
export function untilGrown(limitBytes: number): Promise<void> {
  const watch = new MemoryWatch(limitBytes);
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const residentBytes = Deno.memoryUsage().rss;
      if (!watch.isTimeToHandOver(residentBytes, performance.now())) return;
      clearInterval(timer);
      log.info("handing over to a new process", { residentBytes, limitBytes });
      resolve();
    }, MEMORY_INTERVAL_MS);
  });
}
