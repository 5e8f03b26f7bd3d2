/** Why a job has ended: one word for programs, one phrase for people. Pure. */
import { writtenBytes, writtenDuration } from "../../common/written.ts";
import { SIGNAL_NUMBERS, SIGNALS } from "../../common/signals.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { stateOf } from "./state.ts";

/** Why a job is over; `exit`: it has ended by itself. */
export type Ending = "exit" | "signal" | "stopped" | "timeout" | "oom" | "lost" | "never-ran";

/** Why a job is over; undefined while it is not. */
export function endingOf(job: QueryResponse__Output): Ending | undefined {
  const state = stateOf(job);
  if (state === "lost" || state === "never-ran") return state;
  if (state !== "exited") return undefined;
  if (job.oomKilled) return "oom";
  if (job.timedOut) return "timeout";
  if (job.stoppedBy) return "stopped";
  return job.signal ? "signal" : "exit";
}

/**
 * The same as a phrase: `killed: out of memory (limit 256M)`.
 *
 * @returns Undefined of a job that has not ended, or by itself; and of one that is lost or never ran: of
 * these their `reason` tells.
 */
export function describeEnding(job: QueryResponse__Output): string | undefined {
  switch (endingOf(job)) {
    case "oom": {
      const bytes = job.limits?.memoryBytes;
      const limit = typeof bytes === "number" ? ` (limit ${writtenBytes(bytes)})` : "";
      // A job may go on without the process that was killed.
      return `${
        job.exitCode === 0 ? "a process of it was killed" : "killed"
      }: out of memory${limit}`;
    }
    case "timeout":
      return `stopped: timeout of ${writtenDuration(job.timeoutMs)}`;
    case "stopped":
      return `stopped by ${job.stoppedBy}`;
    case "signal":
      return `ended by signal ${job.signal}${nameOf(job.signal)}`;
    default:
      return undefined;
  }
}

/** Whether a job has ended otherwise than by itself with exit code 0. */
export function hasFailed(job: QueryResponse__Output): boolean {
  return job.exited && (stateOf(job) !== "exited" || job.exitCode !== 0);
}

function nameOf(signal: number): string {
  const name = SIGNALS.find((known) => SIGNAL_NUMBERS[known] === signal);
  return name === undefined ? "" : ` (SIG${name})`;
}
