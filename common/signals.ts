/** Signals that may be sent to jobs, by their names of signal(7) without SIG. */
export const SIGNALS = [
  "HUP",
  "INT",
  "QUIT",
  "KILL",
  "USR1",
  "USR2",
  "ALRM",
  "TERM",
  "CONT",
  "STOP",
  "WINCH",
] as const;

/** One of {@linkcode SIGNALS}. */
export type SignalName = typeof SIGNALS[number];
