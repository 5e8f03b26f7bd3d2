/** What is said of a job that waits, in a cluster's queue or on a host, or has left it without having run. Pure. */
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { toldEngineState } from "../../common/engine_state.ts";
import { SECOND_MS } from "../../common/units.ts";

/** What the engine said longer ago is shown with the time: it may no longer hold. */
const FRESH_MS = 10 * SECOND_MS;

/** What a pending job waits for. */
export interface QueueFacts {
  /** `waiting in the queue: Resources; expected to start at 14:05`, `waiting for job 3f…`. */
  readonly text: string;
  /** When that was said, as ` (as of 14:04:10)`; empty: just now. */
  readonly asOf: string;
}

/**
 * What a pending job waits for, with times in the zone of this process.
 *
 * @param nowMs Milliseconds since 1970-01-01 UTC.
 */
export function describeQueued(
  job: Pick<QueryResponse__Output, "pendingReason" | "estimatedStartMs" | "engineJob" | "asOfMs">,
  nowMs: number,
): QueueFacts {
  const { pendingReason, estimatedStartMs, engineJob } = job;
  // No engine has it: the server says it, as of now.
  if (pendingReason !== "" && engineJob === "") {
    return { text: `waiting for ${pendingReason}`, asOf: "" };
  }
  const reason = pendingReason === "" ? "" : `: ${pendingReason}`;
  // An estimate that is over says nothing.
  const start = estimatedStartMs > nowMs
    ? `; expected to start at ${timeOf(estimatedStartMs, nowMs)}`
    : "";
  return { text: `waiting in the queue${reason}${start}`, asOf: describeAge(job, nowMs) };
}

/** When the engine was last heard of a job, where that is some seconds ago; else empty. */
export function describeAge({ asOfMs }: { readonly asOfMs: number }, nowMs: number): string {
  if (asOfMs === 0 || nowMs - asOfMs <= FRESH_MS) return "";
  return ` (as of ${timeOf(asOfMs, nowMs, { withSeconds: true })})`;
}

/** The engine's number of a job and what it last said of its state: `job 42, RUNNING`; empty: nothing. */
export function describeEngine(
  { engineJob, engineState, exited }: Pick<
    QueryResponse__Output,
    "engineJob" | "engineState" | "exited"
  >,
): string {
  return [engineJob && `job ${engineJob}`, toldEngineState(engineState, exited)].filter(Boolean)
    .join(", ");
}

/** Why a job has ended before its command began, as a sentence without its end. */
export function describeNeverRan({ reason }: { readonly reason: string }): string {
  return `never ran: ${reason.replace(/\.$/, "") || "the reason is not known"}`;
}

/** `14:05`, with the date where it is not today's. */
function timeOf(timeMs: number, nowMs: number, { withSeconds = false } = {}): string {
  const date = new Date(timeMs);
  const two = (part: number) => String(part).padStart(2, "0");
  const seconds = withSeconds ? `:${two(date.getSeconds())}` : "";
  const time = `${two(date.getHours())}:${two(date.getMinutes())}${seconds}`;
  if (date.toDateString() === new Date(nowMs).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}
