/** Requests and answers of the contract, translated to and from what jobs are. Pure. */
import type { Metadata } from "@grpc/grpc-js";
import type {
  JobLimits__Output,
  ListRequest__Output,
  QueryResponse,
  StartRequest__Output,
  StreamRequest__Output,
} from "../../proto/contract.ts";
import { JobError } from "../errors.ts";
import type { JobView } from "../job.ts";
import type { JobQuery } from "../job/list.ts";
import type { Limits } from "../limits.ts";
import type { ReadRange } from "../logs.ts";
import { hasEnded, type JobRecord } from "../model/record.ts";
import type { JobRequest } from "../model/request.ts";
import { DEFAULT_SETTINGS, readSettings } from "../model/settings.ts";
import { traceVariables } from "./trace_context.ts";

export function toReadRange(request: StreamRequest__Output): ReadRange {
  const { offset, tailLines, tailBytes, noFollow } = request;
  const starts = { offset, tailLines, tailBytes };
  const given = Object.entries(starts).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    throw new JobError(
      "invalid",
      "Cannot stream: only one of offset, tail_lines and tail_bytes may be given",
    );
  }
  return { ...Object.fromEntries(given), follow: !noFollow };
}

export function toJobRequest(request: StartRequest__Output, defaultUser: string): JobRequest {
  const { name, args, limits } = request;
  return {
    command: { name, args },
    limits: onlyGiven(limits ?? {}),
    ...readSettings(request, defaultUser),
  };
}

/** A job of a caller that traces goes on with its trace, unless it is told of another one. */
export function withTrace(request: JobRequest, metadata: Metadata): JobRequest {
  const trace = traceVariables((header) => metadata.get(header)[0]?.toString());
  const { secrets } = request;
  return { ...request, secrets: { ...secrets, environment: { ...trace, ...secrets.environment } } };
}

/** The fields that are there: of what is optional the contract's code makes null, or leaves it out. */
function onlyGiven(limits: Partial<JobLimits__Output>): Limits {
  return Object.fromEntries(
    Object.entries(limits).filter(([, value]) => typeof value === "number"),
  );
}

/** The states of the contract, as jobs know them. */
export const STATES: Readonly<Record<string, JobRecord["state"]["kind"]>> = {
  JOB_STATE_RUNNING: "running",
  JOB_STATE_STOPPING: "stopping",
  JOB_STATE_EXITED: "exited",
  JOB_STATE_LOST: "lost",
};

export function toJobQuery(request: ListRequest__Output, onlyOwner: string | undefined): JobQuery {
  const { states, owner, labels, startedAfterMs, startedBeforeMs } = request;
  if (onlyOwner !== undefined && owner !== "" && owner !== onlyOwner) {
    throw new JobError("denied", "Cannot list jobs of others: the rule file does not allow it");
  }
  return {
    states: states.map((name) => {
      const state = STATES[name];
      if (state !== undefined) return state;
      throw new JobError("invalid", `Cannot list jobs: ${name} is no state of a job`);
    }),
    owner: onlyOwner ?? (owner === "" ? undefined : owner),
    labels,
    startedAfterMs,
    startedBeforeMs: startedBeforeMs === 0 ? Infinity : startedBeforeMs,
    pageSize: request.pageSize,
    pageToken: request.pageToken,
    withUsage: request.withUsage,
  };
}

/** An answer to Query; also of a job that has ended. */
export function toQueryResponse({ record, usage, outputBytes }: JobView): QueryResponse {
  const { command, state, limits, owner, firstOffset, timedOut = false } = record;
  const { settings: { title, labels, user, workingDirectory, isolation, timeoutMs } } = {
    settings: DEFAULT_SETTINGS,
    ...record,
  };
  const common = {
    jobID: record.id,
    title,
    labels,
    user,
    workingDirectory,
    isolation,
    timeoutMs,
    timedOut,
    name: command.name,
    args: [...command.args],
    owner,
    limits,
    usage,
    outputBytes,
    outputFirstOffset: firstOffset,
  };
  if (state.kind === "starting") return common;
  const running: QueryResponse = { ...common, pid: state.pid, startedAtMs: state.startedAtMs };
  if (!hasEnded(state)) {
    const name = state.kind === "running" ? "JOB_STATE_RUNNING" : "JOB_STATE_STOPPING";
    return { ...running, exited: false, state: name };
  }
  const ended: QueryResponse = { ...running, exited: true, endedAtMs: state.endedAtMs };
  if ("exitCode" in state) {
    const { exitCode, signal, oomKilled } = state;
    return { ...ended, state: "JOB_STATE_EXITED", exitCode, signal, oomKilled };
  }
  return { ...ended, state: "JOB_STATE_LOST", exitCode: -1, reason: state.reason };
}
