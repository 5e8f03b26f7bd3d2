/** What a cluster engine says of a job, for those who look at the job: nothing is decided by it. */

/** What the engine said last of a job. */
export interface EngineStatus {
  /** Its number there. */
  readonly engineJob?: string;
  /** Its state there, in the engine's word. */
  readonly engineState?: string;
  /** Where it runs or ran. */
  readonly node?: string;
  /** Why it waits, in the engine's words. */
  readonly pendingReason?: string;
  /** The engine's estimate. */
  readonly estimatedStartMs?: number;
  readonly partition?: string;
  /** When the engine said so: milliseconds since 1970-01-01 UTC. */
  readonly asOfMs: number;
}
