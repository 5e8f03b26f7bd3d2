/** How the demo ends before its time: by a signal, or since whoever called it is gone. */

/** How often it is looked whether the demo's callers are still there. */
const CALLER_INTERVAL_MS = 200;

const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 } as const;
type EndingSignal = keyof typeof SIGNAL_STATUS;

const controller = new AbortController();

/** Ends the demo, from wherever it is, at its next step. */
export const ending: AbortSignal = controller.signal;

/** Ends the demo as if this signal had come. */
export function endBy(signal: EndingSignal): void {
  controller.abort(signal);
}

/** The exit status that says which signal has ended the demo. */
export function endingStatus(): number {
  return SIGNAL_STATUS[ending.reason as EndingSignal];
}

/** Signals, and callers that are gone, end the demo; it cleans up first. */
export async function listenForEnd(): Promise<void> {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => endBy(signal));
  }
  // npx passes no signal on: when it is killed, only the parent of `deno task` tells.
  const callers = await findCallers();
  const timer = setInterval(async () => {
    if (await findCallers() !== callers) endBy("SIGTERM");
  }, CALLER_INTERVAL_MS);
  Deno.unrefTimer(timer);
}

/** `deno task`, and who called that. */
async function findCallers(): Promise<string> {
  const status = await Deno.readTextFile(`/proc/${Deno.ppid}/status`).catch(() => "");
  return `${Deno.ppid} ${/^PPid:.*$/m.exec(status)?.[0]}`;
}
