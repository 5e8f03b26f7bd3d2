import type { Terminal } from "../terminal.ts";

/** Says why an input stands still. */
export function noteServerDiskFull(terminal: Terminal): void {
  terminal.note("the server's disk is full; the input waits until there is room");
}
