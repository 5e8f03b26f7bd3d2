/** Jobs that an earlier server left on this host, and what became of them. */
import type { Placement } from "../cgroup/types.ts";
import type { Ending } from "../model/ending.ts";

/** A job of this host that had not ended when an earlier server stopped. */
export interface LeftJob {
  readonly jobId: string;
  readonly placement: Placement;
  readonly folder: string;
  /** Whether the job's record says that it was running. */
  readonly wasRunning: boolean;
}

/** What became of such a job. */
export type Outcome =
  | { readonly kind: "running"; readonly pid: number; readonly ended: Promise<Ending> }
  | { readonly kind: "ended"; readonly pid: number; readonly ending: Ending }
  /** It did not start, and no launcher can start it any more. */
  | { readonly kind: "never-started" };
