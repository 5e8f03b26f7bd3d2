import type { InfoResponse__Output, QueryResponse__Output } from "../../proto/contract.ts";
import { exitCodeOf, stateOf } from "../jobs/state.ts";
import type { Rated } from "../jobs/usage.ts";
import type { Isolation, Job, JobLimits, JobStats, JobUsage, ServerInfo } from "./types.ts";

/** Fields of the contract that have another name here, since they have another type. */
type Renamed = "startedAtMs" | "endedAtMs" | "timeMs";

/** The fields of a message that a type of ours leaves out: none, or the functions below do not compile. */
type Forgotten<Message, Ours> = Exclude<keyof NonNullable<Message>, keyof Ours | Renamed>;

type AllForgotten =
  | Forgotten<QueryResponse__Output, Job>
  | Forgotten<QueryResponse__Output["limits"], JobLimits>
  | Forgotten<QueryResponse__Output["usage"], JobUsage>
  | Forgotten<QueryResponse__Output["isolation"], Isolation>
  | Forgotten<InfoResponse__Output, ServerInfo>;

const NOTHING_FORGOTTEN: [AllForgotten] extends [never] ? Record<never, never> : AllForgotten = {};

/** A job of the contract in the library's words. */
export function toJob(job: QueryResponse__Output): Job {
  return {
    ...NOTHING_FORGOTTEN,
    jobID: job.jobID,
    title: job.title || null,
    labels: job.labels,
    pid: job.pid,
    state: stateOf(job),
    exited: job.exited,
    exitCode: exitCodeOf(job) ?? null,
    signal: job.signal || null,
    oomKilled: job.oomKilled,
    timedOut: job.timedOut,
    reason: job.reason || null,
    name: job.name,
    args: job.args,
    owner: job.owner,
    user: job.user,
    workingDirectory: job.workingDirectory,
    startedAt: new Date(job.startedAtMs),
    endedAt: job.endedAtMs === 0 ? null : new Date(job.endedAtMs),
    timeoutMs: job.timeoutMs || null,
    limits: onlyKnown(job.limits),
    usage: onlyKnown(job.usage),
    isolation: job.isolation ?? { privateTmp: false, noNetwork: false, ownProcesses: false },
    outputBytes: job.outputBytes,
    outputFirstOffset: job.outputFirstOffset,
  };
}

/** The fields of a message that the server has set. */
function onlyKnown<Message extends object>(message: Message | null): Partial<Message> {
  const known = Object.entries(message ?? {}).filter(([, value]) => typeof value === "number");
  return Object.fromEntries(known) as Partial<Message>;
}

/** The same for a job whose use was measured. */
export function toStats({ job, rates }: Rated): JobStats {
  return { job: toJob(job), ...rates };
}

/** What the server said about itself. */
export function toServerInfo({ timeMs, ...info }: InfoResponse__Output): ServerInfo {
  return { ...info, time: new Date(timeMs) };
}
