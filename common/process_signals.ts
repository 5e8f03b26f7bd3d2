/** The signals that a process of ours may listen for, by system: to name another one throws. Pure. */

/** What a system tells a program that runs at a terminal. */
export interface ProcessSignals {
  /** Asks the program to end. */
  readonly interrupts: readonly Deno.Signal[];
  /** The terminal has another size; undefined: the system does not tell. */
  readonly resize: Deno.Signal | undefined;
  /** Ctrl-Z; undefined: there is no such thing. */
  readonly suspend: Deno.Signal | undefined;
  /** Whether Ctrl-C stays a signal where keys are read one by one; else it is the key {@linkcode CTRL_C}. */
  readonly keepsCtrlC: boolean;
}

/** What a terminal gives for Ctrl-C where that is no signal. */
export const CTRL_C = "\x03";

/** The signals of a system, by its name in `Deno.build.os`. */
export function processSignals(os: string): ProcessSignals {
  return os === "windows"
    ? {
      interrupts: ["SIGINT", "SIGBREAK"],
      resize: undefined,
      suspend: undefined,
      keepsCtrlC: false,
    }
    : {
      interrupts: ["SIGINT", "SIGTERM"],
      resize: "SIGWINCH",
      suspend: "SIGTSTP",
      keepsCtrlC: true,
    };
}
