/** What a job runs, and how it ended. */
import type { Usage } from "../cgroup/types.ts";

/** What a job runs. */
export interface Command {
  /** A path, or a name that is looked up in the PATH. */
  name: string;
  args: readonly string[];
}

/** How a job ended. */
export type Ending =
  | {
    kind: "exited";
    /** 128 + n when signal n ended the job, as shells say it. */
    exitCode: number;
    /** The signal that ended the job; 0: it ended by itself. */
    signal: number;
    /** Whether the kernel killed a process of the job for want of memory. */
    oomKilled: boolean;
    usage: Usage;
    endedAtMs: number;
  }
  | {
    /** The job is gone, and nobody can know how it ended. */
    kind: "lost";
    reason: string;
    endedAtMs: number;
  };
