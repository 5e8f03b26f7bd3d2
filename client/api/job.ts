import type { InfoResponse__Output, QueryResponse__Output } from "../../proto/contract.ts";
import { toldEngineState } from "../../common/engine_state.ts";
import { describeEnding, endingOf } from "../jobs/ending.ts";
import { exitCodeOf, stateOf } from "../jobs/state.ts";
import type { Rated } from "../jobs/usage.ts";
import type { Isolation, Job, JobLimits, JobStats, JobUsage, ServerInfo } from "./types.ts";

/** Fields of the contract with another name here, because they have another type. */
type Renamed =
  | "startedAtMs"
  | "endedAtMs"
  | "submittedAtMs"
  | "estimatedStartMs"
  | "asOfMs"
  | "gracePeriodMs"
  | "timeMs";

/** The fields of a message that the library's type lacks: if there is one this does not compile. */
type Missing<Message, Ours> = Exclude<keyof NonNullable<Message>, keyof Ours | Renamed>;

type AllMissing =
  | Missing<QueryResponse__Output, Job>
  | Missing<QueryResponse__Output["limits"], JobLimits>
  | Missing<QueryResponse__Output["usage"], JobUsage>
  | Missing<QueryResponse__Output["isolation"], Isolation>
  | Missing<InfoResponse__Output, ServerInfo>;

const NOTHING_MISSING: [AllMissing] extends [never] ? Record<never, never> : AllMissing = {};

/** A job of the contract as the library returns it. */
export function toJob(job: QueryResponse__Output): Job {
  return {
    ...NOTHING_MISSING,
    jobID: job.jobID,
    name: job.title || null,
    title: job.title || null,
    labels: job.labels,
    pid: job.pid,
    state: stateOf(job),
    exited: job.exited,
    exitCode: exitCodeOf(job) ?? null,
    signal: job.signal || null,
    oomKilled: job.oomKilled,
    timedOut: job.timedOut,
    stoppedBy: job.stoppedBy || null,
    ending: endingOf(job) ?? null,
    endingText: describeEnding(job) ?? null,
    reason: job.reason || null,
    program: job.name,
    args: job.args,
    owner: job.owner,
    user: job.user,
    workingDirectory: job.workingDirectory,
    startedAt: new Date(job.startedAtMs || job.submittedAtMs),
    endedAt: toDate(job.endedAtMs),
    timeoutMs: job.timeoutMs || null,
    limits: onlyKnown(job.limits),
    askedLimits: onlyKnown(job.askedLimits),
    umask: job.umask,
    openFiles: job.openFiles || null,
    nice: job.nice ?? null,
    stopSignal: job.stopSignal,
    graceMs: job.gracePeriodMs ?? null,
    hasSecrets: job.hasSecrets,
    openStdin: job.openStdin,
    inputBytes: job.inputBytes,
    usage: onlyKnown(job.usage),
    isolation: job.isolation ?? { privateTmp: false, noNetwork: false, ownProcesses: false },
    outputBytes: job.outputBytes,
    outputFirstOffset: job.outputFirstOffset,
    separateStderr: job.separateStderr,
    stderrBytes: job.separateStderr ? job.stderrBytes : null,
    stderrFirstOffset: job.separateStderr ? job.stderrFirstOffset : null,
    node: job.node || null,
    pendingReason: job.pendingReason || null,
    submittedAt: toDate(job.submittedAtMs),
    estimatedStart: toDate(job.estimatedStartMs),
    engineJob: job.engineJob || null,
    engineState: toldEngineState(job.engineState, job.exited) || null,
    asOf: toDate(job.asOfMs),
    partition: job.partition || null,
    queue: job.queue || null,
    queuePosition: job.queuePosition || null,
    clusterRequest: job.clusterRequest,
  };
}

/** A time of the contract, where 0 means that there is none. */
function toDate(timeMs: number): Date | null {
  return timeMs === 0 ? null : new Date(timeMs);
}

/** The fields of a message that the server has set. */
function onlyKnown<Message extends object>(message: Message | null): Partial<Message> {
  const known = Object.entries(message ?? {})
    .filter(([, value]) =>
      value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0)
    )
    .map(([name, value]) => [name, Array.isArray(value) ? value.map(onlyKnown) : value]);
  return Object.fromEntries(known) as Partial<Message>;
}

/** The same with the measured rates. */
export function toStats({ job, rates }: Rated): JobStats {
  return { job: toJob(job), ...rates };
}

/** The server's answer to `info`. */
export function toServerInfo({ timeMs, engine, ...info }: InfoResponse__Output): ServerInfo {
  return { ...info, engine: engine || null, time: new Date(timeMs) };
}
