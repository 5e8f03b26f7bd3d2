/** Translates requests of the contract to the terms of jobs, and jobs to answers. Pure. */
import type { Metadata } from "@grpc/grpc-js";
import type {
  Event,
  EventsRequest__Output,
  JobLimits,
  ListRequest__Output,
  QueryResponse,
  StartRequest__Output,
  StreamRequest__Output,
  UpdateRequest__Output,
} from "../../proto/contract.ts";
import { toldEngineState } from "../../common/engine_state.ts";
import { JobError, quoted } from "../errors.ts";
import type { JobView } from "../job.ts";
import type { EventQuery, ToldEvent } from "../job/events.ts";
import { checkLabels, type JobQuery } from "../job/list.ts";

import type { Limits } from "../limits.ts";
import type { ReadRange } from "../logs.ts";
import type { Timing } from "../logs/timed.ts";
import type { EngineStatus } from "../model/engine.ts";
import { hasEnded, type JobRecord, ownLimitsOf } from "../model/record.ts";
import { readAskedLimits } from "../model/asked_limits.ts";
import { type LimitChange, readLimitChange } from "../model/limit_change.ts";
import type { JobRequest } from "../model/request.ts";
import { DEFAULT_SETTINGS, readSettings, userText } from "../model/settings.ts";
import { waitsOnHost } from "../model/queue.ts";
import { traceVariables } from "./trace_context.ts";

/**
 * The part of the output that a Stream asks for.
 *
 * @throws {JobError} "invalid" where it names more than one beginning.
 */
export function toReadRange(request: StreamRequest__Output): ReadRange {
  const { offset, tailLines, tailBytes, noFollow, sinceMs } = request;
  const given = onlyNumbers({ offset, tailLines, tailBytes });
  if (Object.keys(given).length > 1) {
    throw new JobError(
      "invalid",
      "Cannot stream: only one of offset, tail_lines and tail_bytes may be given",
    );
  }
  if (sinceMs !== 0 && "offset" in given) {
    throw new JobError("invalid", "Cannot stream: only one of offset and since_ms may be given");
  }
  return { ...given, follow: !noFollow };
}

/** Fields of a start that earlier servers ignore: a client asks for them where they are told. */
export const START_FIELDS: readonly string[] = [
  "nice",
  "open_files",
  "limits.memory_high_bytes",
  "limits.read_operations_per_second",
  "limits.write_operations_per_second",
  "limits.allowed_cpus",
  "limits.disks",
];

/**
 * Which times a Stream asks for; undefined: it asks for none.
 *
 * @throws {JobError} "invalid" for a time before 1970.
 */
export function toTiming(
  { sinceMs, untilMs, timestamps }: StreamRequest__Output,
): Timing | undefined {
  if (sinceMs < 0 || untilMs < 0) {
    throw new JobError("invalid", "Cannot stream: since_ms and until_ms are not before 1970");
  }
  if (sinceMs === 0 && untilMs === 0 && !timestamps) return undefined;
  return { ...(sinceMs > 0 && { sinceMs }), ...(untilMs > 0 && { untilMs }) };
}

/**
 * What a Start asks for.
 *
 * @param defaultUser The user that jobs run as where the request names none.
 * @throws {JobError} "invalid", with what was expected.
 */
export function toJobRequest(request: StartRequest__Output, defaultUser: string): JobRequest {
  const { name, args, limits } = request;
  return {
    command: { name, args },
    limits: readAskedLimits(limits, "start the job"),
    ...readSettings(request, defaultUser),
  };
}

/**
 * What an Update asks for.
 *
 * @throws {JobError} "invalid", with what was expected.
 */
export function toLimitChange({ limits, reset, fromFiles }: UpdateRequest__Output): LimitChange {
  return readLimitChange({
    limits: readAskedLimits(limits, "update the job"),
    reset,
    fromFiles,
  });
}

/**
 * Names the jobs that a start is to come after by their ids.
 *
 * @param find The id of the job that a text stands for, among those that the caller may see.
 * @throws {JobError} What `find` throws, said of the start.
 */
export function withJobsFound(request: JobRequest, find: (name: string) => string): JobRequest {
  const { settings } = request;
  const { queue } = settings;
  if (queue?.after === undefined) return request;
  const after = [...new Set(queue.after.map((name) => found(name, find)))];
  return { ...request, settings: { ...settings, queue: { ...queue, after } } };
}

function found(name: string, find: (name: string) => string): string {
  try {
    return find(name);
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
    throw new JobError(
      error.kind,
      `Cannot start the job after ${quoted(name)}: ${error.message}`,
    );
  }
}

/**
 * Passes the trace of the call on to the job, unless the request sets these variables itself.
 *
 * @param mayPass Whether the job may get a variable of this name.
 */
export function withTrace(
  request: JobRequest,
  metadata: Metadata,
  mayPass: (name: string) => boolean,
): JobRequest {
  const variables = traceVariables((header) => metadata.get(header)[0]?.toString());
  const trace = Object.fromEntries(Object.entries(variables).filter(([name]) => mayPass(name)));
  const { secrets } = request;
  return { ...request, secrets: { ...secrets, environment: { ...trace, ...secrets.environment } } };
}

/** The fields that were given: optional ones that were not are null or undefined. */
function onlyNumbers<Name extends string>(
  fields: Partial<Record<Name, number | null | undefined>>,
): Partial<Record<Name, number>> {
  const given = Object.entries(fields).filter(([, value]) => typeof value === "number");
  return Object.fromEntries(given) as Partial<Record<Name, number>>;
}

/** The states that the contract and jobs both have, by the contract's names. */
const STATES: ReadonlyMap<string, JobRecord["state"]["kind"]> = new Map([
  ["JOB_STATE_RUNNING", "running"],
  ["JOB_STATE_STOPPING", "stopping"],
  ["JOB_STATE_EXITED", "exited"],
  ["JOB_STATE_LOST", "lost"],
  ["JOB_STATE_PENDING", "pending"],
  ["JOB_STATE_NEVER_RAN", "never-ran"],
]);

/**
 * Which jobs a List asks for.
 *
 * @param onlyOwner The caller, where it may see its own jobs only.
 * @throws {JobError} "denied" for jobs of another owner then, "invalid" for an unknown state.
 */
export function toJobQuery(request: ListRequest__Output, onlyOwner: string | undefined): JobQuery {
  const { states, owner, labels, startedAfterMs, startedBeforeMs } = request;
  return {
    states: states.map((name) => {
      const state = STATES.get(name);
      if (state !== undefined) return state;
      throw new JobError(
        "invalid",
        `Cannot list jobs: ${name} is not a job state that can be listed`,
      );
    }),
    owner: ownerToList(owner, onlyOwner, "list jobs"),
    labels,
    startedAfterMs,
    startedBeforeMs: startedBeforeMs === 0 ? Infinity : startedBeforeMs,
    pageSize: request.pageSize,
    pageToken: request.pageToken,
    withUsage: request.withUsage,
    failedOnly: request.failedOnly,
    queue: request.queue === "" ? undefined : request.queue,
  };
}

/**
 * Whose jobs are shown; undefined: everybody's.
 *
 * @param asked Empty: everybody's.
 * @param onlyOwner The caller, where it may see its own jobs only.
 * @throws {JobError} "denied" for jobs of another owner then.
 */
export function ownerToList(
  asked: string,
  onlyOwner: string | undefined,
  what: "list jobs" | "tell events",
): string | undefined {
  if (onlyOwner !== undefined && asked !== "" && asked !== onlyOwner) {
    throw new JobError("denied", `Cannot ${what} of others: the rule file does not allow it`);
  }
  return onlyOwner ?? (asked === "" ? undefined : asked);
}

/** A place in the journal of events, as an earlier answer has told it. */
const CURSOR = /^\d{1,16}$/;

/**
 * Which events are asked for, besides whose, and of which job.
 *
 * @param nowMs The time: what has an end in the past is not followed.
 * @throws {JobError} "invalid" for a cursor that no answer had, or labels that no job can have.
 */
export function toEventQuery(
  { after, sinceMs, untilMs, labels, noFollow }: EventsRequest__Output,
  nowMs: number,
): Omit<EventQuery, "owners" | "jobId"> {
  if (after !== "" && !CURSOR.test(after)) {
    throw new JobError(
      "invalid",
      "Cannot tell events: the cursor is not one from an earlier event",
    );
  }
  checkLabels(labels, "tell events");
  const end = untilMs === 0 ? Infinity : untilMs;
  return {
    after: after === "" ? undefined : Number(after),
    sinceMs,
    untilMs: end,
    labels,
    follow: !noFollow && end > nowMs,
  };
}

/** The kinds of events by their names in jobs. */
const KINDS = {
  submitted: "EVENT_KIND_SUBMITTED",
  started: "EVENT_KIND_STARTED",
  stopping: "EVENT_KIND_STOPPING",
  ended: "EVENT_KIND_ENDED",
  removed: "EVENT_KIND_REMOVED",
  updated: "EVENT_KIND_UPDATED",
} as const;

/** An event as it is sent. */
export function toEvent(
  { kind, timeMs, by, number, view, jobId, owner, removed }: ToldEvent,
): Event {
  const job = view === undefined
    ? { jobID: jobId, owner, exited: true, ...removed }
    : { ...toQueryResponse(view), usage: null };
  return { timeMs, kind: KINDS[kind], by, cursor: String(number), job };
}

/** The answer to a Query; fields that a job in its state does not have are left out. */
export function toQueryResponse(
  { record, usage, outputBytes, stderrBytes, inputBytes, engine, wait }: JobView,
): QueryResponse {
  const { command, state, limits, owner, firstOffset, timedOut = false } = record;
  const { settings = DEFAULT_SETTINGS, stoppedBy = "" } = record;
  const { title, labels, workingDirectory, isolation, timeoutMs, graceMs } = settings;
  const common = {
    jobID: record.id,
    title,
    labels,
    user: userText(settings),
    workingDirectory,
    isolation,
    timeoutMs,
    timedOut,
    stoppedBy,
    umask: settings.umask,
    stopSignal: settings.stopSignal,
    ...(graceMs !== undefined && { gracePeriodMs: graceMs }),
    askedLimits: toJobLimits(ownLimitsOf(record)),
    openFiles: settings.openFiles ?? 0,
    ...(settings.queue?.nice !== undefined && { nice: settings.queue.nice }),
    hasSecrets: settings.secretsDigest !== "",
    openStdin: settings.openStdin === true,
    inputBytes,
    name: command.name,
    args: [...command.args],
    owner,
    limits: toJobLimits(limits),
    usage,
    outputBytes,
    outputFirstOffset: firstOffset,
    separateStderr: settings.separateStderr ?? false,
    stderrBytes,
    stderrFirstOffset: record.stderrFirstOffset ?? 0,
  };
  const answer: QueryResponse = {
    ...common,
    ...engineFields(record, engine),
    ...hostFields(record, wait),
  };
  switch (state.kind) {
    case "starting":
      return answer;
    case "pending":
      return { ...answer, pid: 0, exited: false, state: "JOB_STATE_PENDING" };
    case "never-ran": {
      const { endedAtMs, reason } = state;
      return {
        ...answer,
        pid: 0,
        exited: true,
        exitCode: -1,
        state: "JOB_STATE_NEVER_RAN",
        endedAtMs,
        reason,
      };
    }
  }
  const running: QueryResponse = { ...answer, pid: state.pid, startedAtMs: state.startedAtMs };
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

/** Disks are told by the names that they were given. */
function toJobLimits({ disks, ...limits }: Readonly<Limits>): JobLimits {
  if (disks === undefined) return limits;
  return { ...limits, disks: disks.map(({ number: _, ...disk }) => disk) };
}

/** What is told of a job that waits on this host, or has waited. */
function hostFields(
  { createdAtMs, settings }: JobRecord,
  wait: JobView["wait"],
): QueryResponse {
  if (!waitsOnHost(settings?.queue)) return {};
  return {
    submittedAtMs: createdAtMs,
    queue: settings?.queue?.queue ?? "",
    ...(wait !== undefined && { pendingReason: wait.reason, queuePosition: wait.queuePosition }),
  };
}

/** What the start has asked the cluster for, besides the partition. */
function clusterRequestOf(
  settings: JobRecord["settings"],
): NonNullable<QueryResponse["clusterRequest"]> {
  const { account = "", qos = "", cpus = 0, gpus = "", constraint = "" } = settings?.queue ?? {};
  return { account, qos, cpus, gpus, constraint };
}

/** What is told of a job of a cluster engine; nothing of another one. */
function engineFields(
  { state, createdAtMs, settings }: JobRecord,
  engine: EngineStatus | undefined,
): QueryResponse {
  const isEngines = state.kind === "pending" || state.kind === "never-ran";
  if (engine === undefined && !isEngines) return {};
  const node = "node" in state ? state.node : engine?.node;
  return {
    submittedAtMs: createdAtMs,
    node: node ?? "",
    partition: engine?.partition ?? settings?.queue?.partition ?? "",
    clusterRequest: clusterRequestOf(settings),
    engineJob: engine?.engineJob ?? "",
    engineState: toldEngineState(engine?.engineState ?? "", hasEnded(state)),
    asOfMs: engine?.asOfMs ?? 0,
    ...(state.kind === "pending" && {
      pendingReason: engine?.pendingReason ?? "",
      estimatedStartMs: engine?.estimatedStartMs ?? 0,
    }),
  };
}
