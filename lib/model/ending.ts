/** What a job runs, and how it ended. */
import type { Usage } from "../cgroup/types.ts";

/** What a job runs. */
export interface Command {
  /** A path, or a name that is looked up in the PATH. */
  readonly name: string;
  readonly args: readonly string[];
}

/** How a job ended. */
export type Ending =
  | {
    readonly kind: "exited";
    /** 128 + n when signal n ended the job, as shells report it. */
    readonly exitCode: number;
    /** The signal that ended the job; 0: it ended by itself. */
    readonly signal: number;
    /** Whether the kernel killed a process of the job because memory ran out. */
    readonly oomKilled: boolean;
    readonly usage: Readonly<Usage>;
    /** Bytes at the very end of the output that the disk refused; absent: none. */
    readonly unwrittenBytes?: number;
    /** The same of the standard error, where that is kept apart. */
    readonly unwrittenErrorBytes?: number;
    /** The executor has stopped it since its timeout was over; only where the executor keeps the time. */
    readonly timedOut?: true;
    readonly endedAtMs: number;
  }
  | {
    /** The job is gone, and how it ended cannot be found out. */
    readonly kind: "lost";
    readonly reason: string;
    readonly endedAtMs: number;
  }
  | {
    /** The job waited, and will not run any more: its command has not begun, and cannot. */
    readonly kind: "never-ran";
    readonly reason: string;
    readonly endedAtMs: number;
  };
