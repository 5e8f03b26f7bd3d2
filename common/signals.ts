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

/** Their numbers on Linux, on all processors that there are binaries for (signal(7)). */
export const SIGNAL_NUMBERS: Readonly<Record<SignalName, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  USR1: 10,
  USR2: 12,
  ALRM: 14,
  TERM: 15,
  CONT: 18,
  STOP: 19,
  WINCH: 28,
};

/** One of {@linkcode SIGNALS}. */
export type SignalName = typeof SIGNALS[number];
