/** The RPC handlers: translate requests and answers, and map errors. Nothing else. */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type {
  JobLimits__Output,
  JobServiceHandlers,
  ListRequest__Output,
  QueryResponse,
  StartRequest__Output,
  StreamRequest__Output,
  StreamResponse,
} from "../proto/contract.ts";
import type { AccessRules } from "./access_rules.ts";
import { callerOf } from "./grpc_authorization.ts";
import { interruptionOf, onInterruption, type Shutdown, toStatus } from "./grpc_endings.ts";
import { http2StreamOf, writeFramed } from "./grpc_internals.ts";
import { frameOutput, withHeadroom } from "./grpc_output.ts";
import { JobError } from "./errors.ts";
import type { JobManager, JobView } from "./job.ts";
import type { JobQuery } from "./job_list.ts";
import type { JobRequest } from "./job_request.ts";
import { DEFAULT_SETTINGS, readSettings, readSignal } from "./job_settings.ts";
import { hasEnded, type JobRecord } from "./job_state.ts";
import type { Limits } from "./limits.ts";
import { type Chunk, isTail, type OutputLog, type ReadRange } from "./logs.ts";
import { StreamPace } from "./pacing.ts";
import type { Caller } from "./rbac.ts";
import type { RuleFile } from "./rule_file.ts";
import { traceVariables } from "./trace_context.ts";
import { incompleteUtf8Tail } from "./utf8.ts";

const NOTHING = new Uint8Array();

/** What the handlers work with. */
export interface HandlerOptions {
  readonly manager: JobManager;
  /** What narrows the roles. */
  readonly rules: RuleFile;
  /** What streams come to. */
  readonly streams: { open: number; bytes: number };
  /** What Info says of the server. */
  readonly about: { version: string; cgroup: string; controllers: readonly string[] };
  /** Whom jobs run as where a request says nothing. */
  readonly defaultUser: string;
  /** When calls end before their time. */
  readonly shutdown: Shutdown;
}

/** The handlers of JobService. */
export function createHandlers(options: HandlerOptions): JobServiceHandlers {
  const { manager, shutdown, defaultUser } = options;
  const access = new Access(manager, options.rules);
  const start = unary(
    async (request: StartRequest__Output, caller: Caller, metadata: Metadata) => {
      const asked = toJobRequest(request, defaultUser);
      (await access.rules(caller, "Start")).requireStart(caller, asked);
      const { idempotencyKey } = request;
      const traced = withTrace(asked, metadata);
      return { jobID: await manager.start(traced, { owner: caller.name, idempotencyKey }) };
    },
    shutdown,
  );
  const stop = unary(async (request: StopRequest, caller: Caller) => {
    await manager.stop(await access.job(request, caller, "Stop"), request.gracePeriodMs);
    return {};
  }, shutdown);
  const signal = unary(async (request: SignalRequest, caller: Caller) => {
    const name = readSignal(request.signal);
    await manager.signal(await access.job(request, caller, "Signal"), name);
    return {};
  }, shutdown);
  const query = unary(
    async (request: IdRequest, caller: Caller) =>
      toQueryResponse(await manager.query(await access.job(request, caller, "Query"))),
    shutdown,
  );
  const list = unary(async (request: ListRequest__Output, caller: Caller) => {
    const ownOnly = (await access.rules(caller, "List")).ownJobsOnly(caller);
    const { jobs, nextPageToken } = await manager.list(
      toJobQuery(request, ownOnly ? caller.name : undefined),
    );
    return { jobs: jobs.map(toQueryResponse), nextPageToken };
  }, shutdown);
  const info = unary(async (_request: object, caller: Caller) => {
    await access.rules(caller, "Info");
    const { version, cgroup, controllers } = options.about;
    return {
      version,
      cgroup,
      controllers: [...controllers],
      yourName: caller.name,
      yourRoles: [...caller.roles],
      jobUser: defaultUser,
      runningJobs: [...manager.active].length,
      timeMs: Date.now(),
    };
  }, shutdown);
  // A job may run for days, so its end is not waited for when the server goes.
  const wait = unary(async (request: IdRequest, caller: Caller) => {
    const id = await access.job(request, caller, "Wait");
    await manager.wait(id);
    return toQueryResponse(await manager.query(id));
  }, { begun: shutdown.begun, overdue: shutdown.begun });
  const remove = unary(async (request: IdRequest, caller: Caller) => {
    await manager.remove(await access.job(request, caller, "Remove"));
    return {};
  }, shutdown);
  return {
    Start: start,
    Stop: stop,
    Signal: signal,
    Query: query,
    List: list,
    Info: info,
    Wait: wait,
    Remove: remove,
    Stream: stream({ ...options, access, shutdown: shutdown.begun }),
  };
}

/** What the rule file lets callers do. */
class Access {
  readonly #manager: JobManager;
  readonly #file: RuleFile;

  constructor(manager: JobManager, file: RuleFile) {
    this.#manager = manager;
    this.#file = file;
  }

  /** @throws {JobError} "denied" when the caller may not call the method at all. */
  async rules(caller: Caller, method: string): Promise<AccessRules> {
    const rules = await this.#file.current();
    rules.requireMethod(caller, method);
    return rules;
  }

  /**
   * The id of the job that a request names.
   *
   * @throws {JobError} "not-found", also for a job that the caller has nothing to do with.
   */
  async job(request: IdRequest, caller: Caller, method: string): Promise<string> {
    const rules = await this.rules(caller, method);
    const id = this.#manager.resolve(
      request.jobID,
      (owner) => rules.mayTouchJobsOf(caller, owner),
    );
    // From here on the id stands for the name, in the audit trail as well.
    request.jobID = id;
    return id;
  }
}

interface IdRequest {
  jobID: string;
}

interface SignalRequest extends IdRequest {
  signal: string;
}

interface StopRequest extends IdRequest {
  gracePeriodMs?: number;
}

function unary<Request, Response>(
  handle: (request: Request, caller: Caller, metadata: Metadata) => Promise<Response>,
  { begun, overdue }: Shutdown,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, respond) => {
    const { caller, access } = callerOf(call);
    let isAnswered = false;
    const answer: typeof respond = (error, response) => {
      if (isAnswered) return;
      isAnswered = true;
      interruption[Symbol.dispose]();
      respond(error, response);
    };
    const interrupt = () => answer(toStatus(interruptionOf({ shutdown: overdue, access })));
    const interruption = onInterruption({ shutdown: overdue, access }, interrupt);
    if (begun.aborted) return interrupt();
    handle(call.request, caller, call.metadata).then(
      (response) => answer(null, response),
      (error: unknown) => answer(toStatus(error)),
    );
  };
}

function stream(
  { manager, streams, access: rules, shutdown }: Pick<HandlerOptions, "manager" | "streams"> & {
    access: Access;
    shutdown: AbortSignal;
  },
): handleServerStreamingCall<StreamRequest__Output, StreamResponse> {
  return async (call: ServerWritableStream<StreamRequest__Output, StreamResponse>) => {
    const { caller, access } = callerOf(call);
    const ended = new AbortController();
    const end = () => ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    using _interruption = onInterruption({ shutdown, access }, end);
    streams.open += 1;
    try {
      const output = manager.output(await rules.job(call.request, caller, "Stream"));
      await sendOutput(call, output, { signal: ended.signal, streams });
      if (shutdown.aborted || access.aborted) throw interruptionOf({ shutdown, access });
      call.end();
    } catch (error) {
      call.emit("error", toStatus(error));
    } finally {
      streams.open -= 1;
      ended.abort();
    }
  };
}

/** Sends output as it comes, at the pace of the reader's connection. */
async function sendOutput(
  call: ServerWritableStream<StreamRequest__Output, StreamResponse>,
  output: OutputLog,
  { signal, streams }: { signal: AbortSignal; streams: HandlerOptions["streams"] },
): Promise<void> {
  using pace = new StreamPace(http2StreamOf(call));
  const range = toReadRange(call.request);
  // Of a tail nobody knows it before the log says where it begins.
  let nextOffset = range.offset ?? (isTail(range) ? undefined : 0);
  let held: Uint8Array = NOTHING;
  const send = (output: Uint8Array, offset: number, gapBytes: number) => {
    nextOffset = offset + output.length;
    streams.bytes += output.length;
    writeFramed(call, frameOutput({ output, offset, gapBytes }));
  };
  using _heartbeat = heartbeat(call.request.heartbeatSeconds, () => {
    // What waits for a slow reader is no silence, and must not grow.
    if (nextOffset === undefined || signal.aborted || !pace.hasRoom) return;
    send(withHeadroom(NOTHING), nextOffset, 0);
  });
  for await (const { offset, bytes, gapBytes } of readAhead(output.read(range, signal))) {
    if (gapBytes > 0 && held.length > 0) {
      send(withHeadroom(held), offset - gapBytes - held.length, 0);
      held = NOTHING;
    }
    const begin = offset - held.length;
    const whole = withBefore(held, bytes);
    const cut = whole.length - incompleteUtf8Tail(whole);
    const isNews = cut > 0 || gapBytes > 0 || nextOffset === undefined;
    if (isNews) send(whole.subarray(0, cut), begin, gapBytes);
    else nextOffset = begin;
    held = whole.slice(cut);
    await pace.ready(signal);
    if (signal.aborted) return;
    // All of it has gone to the socket. The collector would come for it much later.
    whole.buffer.transfer(0);
  }
  if (held.length > 0 && nextOffset !== undefined && !signal.aborted) {
    send(withHeadroom(held), nextOffset, 0);
  }
}

/** Reads the next chunk while this one is being sent, and no more than that. */
async function* readAhead(chunks: AsyncGenerator<Chunk>): AsyncGenerator<Chunk> {
  let next = chunks.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done === true) return;
      next = chunks.next();
      yield value;
    }
  } finally {
    // Whoever leaves early aborts the reading next, and what comes of it until then is of no interest.
    next.catch(() => {});
    chunks.return(undefined).catch(() => {});
  }
}

/** Calls back in silence and noise alike; a message more does not harm. 0 seconds: never. */
function heartbeat(seconds: number, beat: () => void): Disposable {
  const timer = seconds === 0 ? undefined : setInterval(beat, seconds * 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Puts the few bytes that were held back into the headroom before the next ones. */
function withBefore(
  held: Uint8Array,
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(buffer, byteOffset - held.length, held.length + length);
  whole.set(held);
  return whole;
}

function toReadRange(request: StreamRequest__Output): ReadRange {
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

function toJobRequest(request: StartRequest__Output, defaultUser: string): JobRequest {
  const { name, args, limits } = request;
  return {
    command: { name, args },
    limits: onlyGiven(limits ?? {}),
    ...readSettings(request, defaultUser),
  };
}

/** A job of a caller that traces goes on with its trace, unless it is told of another one. */
function withTrace(request: JobRequest, metadata: Metadata): JobRequest {
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
const STATES: Readonly<Record<string, JobRecord["state"]["kind"]>> = {
  JOB_STATE_RUNNING: "running",
  JOB_STATE_STOPPING: "stopping",
  JOB_STATE_EXITED: "exited",
  JOB_STATE_LOST: "lost",
};

function toJobQuery(request: ListRequest__Output, onlyOwner: string | undefined): JobQuery {
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
function toQueryResponse({ record, usage, outputBytes }: JobView): QueryResponse {
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
