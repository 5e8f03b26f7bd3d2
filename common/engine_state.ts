/** What a cluster's engine says of a job that has ended. Pure. */

/** States of Slurm's in which a job that has ended is no more: its end is known before Slurm hears of it. */
const UNENDED_STATES = ["PENDING", "CONFIGURING", "RUNNING", "COMPLETING"];

/** The engine's state of a job, as it may be told; empty where the job has ended, and the engine has not heard of it. */
export function toldEngineState(engineState: string, hasEnded: boolean): string {
  return hasEnded && UNENDED_STATES.includes(engineState) ? "" : engineState;
}
