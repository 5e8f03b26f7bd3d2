/** The facts about a job as texts. Pure. */
import { escapeUnprintable } from "../../../common/printable.ts";
import { describeEnding } from "../../jobs/ending.ts";
import { describeEngine, describeNeverRan, describeQueued } from "../../jobs/queued.ts";
import { describeClusterRequest, shortState } from "../../screen/format.ts";
import { binaryBytes, describeDuration } from "../../screen/quantities.ts";
import type { Job } from "./requests.ts";

/** A number of bytes as text; `-` where it is unknown. */
export function bytesText(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return "-";
  return binaryBytes(bytes, { isShort: true });
}

/** What people call a job: its name, or the beginning of its id. */
export function nameOf(job: Job): string {
  return escapeUnprintable(job.title || job.jobID.slice(0, 8));
}

/** The state, with the exit code of a job that has ended. */
export function stateText(job: Job): string {
  const state = shortState(job);
  if (exitText(job) === "-") return state;
  // The exit code already names the signal.
  return state === "signal" ? exitText(job) : `${state} ${exitText(job)}`;
}

/** What one wants to know first of a job besides its state: what it waits for, or why it has ended. */
export function noteOf(job: Job, nowMs: number): string | undefined {
  return escapeUnprintable(plainNoteOf(job, nowMs) ?? "") || undefined;
}

function plainNoteOf(job: Job, nowMs: number): string | undefined {
  switch (job.state) {
    case "JOB_STATE_PENDING": {
      const { text, asOf } = describeQueued(job, nowMs);
      return `${text}${asOf}`;
    }
    case "JOB_STATE_NEVER_RAN":
      return describeNeverRan(job);
    case "JOB_STATE_LOST":
      return job.reason;
    case "JOB_STATE_STOPPING":
      return job.stoppedBy && `stopped by ${job.stoppedBy}`;
    default:
      return describeEnding(job);
  }
}

/** How a job has ended; `-` while it has not. */
export function exitText(job: Job): string {
  const hasRun = job.state !== "JOB_STATE_LOST" && job.state !== "JOB_STATE_NEVER_RAN";
  if (!job.exited || !hasRun) return "-";
  return job.signal ? `${job.exitCode} (signal ${job.signal})` : String(job.exitCode);
}

/** How long it has run; `-` where it has not begun. */
export function tookText(job: Job, nowMs: number): string {
  if (job.startedAtMs === 0) return "-";
  return describeDuration((job.endedAtMs || nowMs) - job.startedAtMs);
}

/** Which colour a state has. */
export function toneOf(job: Job): "waiting" | "running" | "good" | "bad" | "unknown" {
  if (job.state === "JOB_STATE_PENDING") return "waiting";
  if (!job.exited) return "running";
  if (job.state === "JOB_STATE_LOST") return "unknown";
  return job.exitCode === 0 ? "good" : "bad";
}

/** What else is known of a job, with names, made safe to show; unknown facts are left out. */
export function factsOf(job: Job, nowMs: number): readonly (readonly [string, string])[] {
  const { usage, limits, isolation } = job;
  const list = (parts: readonly (string | false | undefined)[]) =>
    parts.filter((part) => part).join(", ");
  const limit = (value: number | null | undefined, text: (value: number) => string) =>
    typeof value === "number" && `limit ${text(value)}`;
  const facts: readonly (readonly [string, string])[] = [
    ["State", `${shortState(job)}${job.reason ? `: ${job.reason}` : ""}`],
    ["Exit code", list([exitText(job), job.oomKilled && "out of memory"])],
    ["Queue", job.queue],
    ["Waits for", job.pendingReason],
    ["Expected", job.estimatedStartMs ? timeText(job.estimatedStartMs) : ""],
    ["Node", job.node],
    ["Partition", job.partition],
    ["Asked for", describeClusterRequest(job) ?? ""],
    ["Engine", describeEngine(job)],
    ["Submitted", job.submittedAtMs ? timeText(job.submittedAtMs) : ""],
    ["Started", job.startedAtMs ? timeText(job.startedAtMs) : ""],
    ["Ended", job.endedAtMs ? timeText(job.endedAtMs) : ""],
    ["Took", tookText(job, nowMs)],
    ["Timeout", job.timeoutMs ? describeDuration(job.timeoutMs) : ""],
    ["Owner", job.owner],
    ["User", job.user],
    ["Directory", job.workingDirectory],
    ["Pid", job.pid ? String(job.pid) : ""],
    [
      "Isolation",
      list([
        isolation?.privateTmp && "private /tmp",
        isolation?.noNetwork && "no network",
        isolation?.ownProcesses && "own processes",
      ]),
    ],
    [
      "CPU",
      list([
        typeof usage?.cpuUsec === "number" && `${(usage.cpuUsec / 1e6).toFixed(1)} s used`,
        limit(limits?.cpuCores, (cores) => `${cores * 100} %`),
      ]),
    ],
    [
      "Memory",
      list([
        typeof usage?.memoryBytes === "number" && !job.exited && bytesText(usage.memoryBytes),
        typeof usage?.memoryPeakBytes === "number" && `peak ${bytesText(usage.memoryPeakBytes)}`,
        limit(limits?.memoryBytes, bytesText),
      ]),
    ],
    [
      "Disk read",
      list([
        typeof usage?.readBytes === "number" && bytesText(usage.readBytes),
        limit(limits?.readBytesPerSecond, (rate) => `${bytesText(rate)}/s`),
      ]),
    ],
    [
      "Disk written",
      list([
        typeof usage?.writtenBytes === "number" && bytesText(usage.writtenBytes),
        limit(limits?.writeBytesPerSecond, (rate) => `${bytesText(rate)}/s`),
      ]),
    ],
    [
      "Processes",
      list([
        typeof usage?.processes === "number" && !job.exited && String(usage.processes),
        limit(limits?.processes, String),
      ]),
    ],
    ["Counted", usage?.asOfMs && !job.exited ? timeText(usage.asOfMs) : ""],
    ["Output", sizeText(job.outputBytes, job.outputFirstOffset)],
    ["Standard error", job.separateStderr ? sizeText(job.stderrBytes, job.stderrFirstOffset) : ""],
  ];
  return facts.filter(([, text]) => text !== "")
    .map(([name, text]) => [name, escapeUnprintable(text)]);
}

/** The size of an output, of which the beginning may be gone. */
function sizeText(bytes: number, firstOffset: number): string {
  const gone = firstOffset > 0 ? `, the first ${bytesText(firstOffset)} rotated away` : "";
  return `${bytesText(bytes)}${gone}`;
}

/** In the local time zone. */
function timeText(timeMs: number): string {
  return new Date(timeMs).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
