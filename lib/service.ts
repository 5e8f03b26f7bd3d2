/** The RPC handlers: translate requests and answers, and map errors. Nothing else. */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type {
  JobServiceHandlers,
  QueryResponse,
  StartRequest__Output,
  StreamRequest__Output,
  StreamResponse,
} from "../proto/contract.ts";
import { callerOf } from "./grpc_authorization.ts";
import { http2StreamOf, writeFramed } from "./grpc_internals.ts";
import { frameOutput, withHeadroom } from "./grpc_output.ts";
import { JobError, type JobErrorKind, messageOf } from "./errors.ts";
import type { JobManager, JobView } from "./job.ts";
import { hasEnded } from "./job_state.ts";
import { log } from "./log.ts";
import { type Chunk, isTail, type OutputLog, type ReadRange } from "./logs.ts";
import { StreamPace } from "./pacing.ts";
import { incompleteUtf8Tail } from "./utf8.ts";

/** The gRPC status of each kind of error. */
const STATUS_CODES: Record<JobErrorKind, status> = {
  "unauthenticated": status.UNAUTHENTICATED,
  "invalid": status.INVALID_ARGUMENT,
  "not-found": status.NOT_FOUND,
  "precondition": status.FAILED_PRECONDITION,
  "exhausted": status.RESOURCE_EXHAUSTED,
  "unavailable": status.UNAVAILABLE,
  "internal": status.INTERNAL,
};

const NOTHING = new Uint8Array();

const SHUTTING_DOWN = "the server is shutting down; jobs go on, and the next server knows them";

/** How a server comes to its end. */
export interface Shutdown {
  /** Aborted when it begins: what waits for a job ends, new calls are refused, others finish. */
  readonly begun: AbortSignal;
  /** Aborted when the time for that is up: every call ends. */
  readonly overdue: AbortSignal;
}

/**
 * The handlers of JobService.
 *
 * @param manager The jobs.
 * @param shutdown When calls end before their time.
 */
export function createHandlers(manager: JobManager, shutdown: Shutdown): JobServiceHandlers {
  const start = unary(async (request: StartRequest__Output, owner: string) => {
    const { name, args, idempotencyKey } = request;
    return { jobID: await manager.start({ name, args }, { owner, idempotencyKey }) };
  }, shutdown);
  const stop = unary(async ({ jobID, gracePeriodMs }: StopRequest) => {
    await manager.stop(jobID, gracePeriodMs);
    return {};
  }, shutdown);
  const query = unary(
    async ({ jobID }: IdRequest) => toQueryResponse(await manager.query(jobID)),
    shutdown,
  );
  // A job may run for days, so its end is not waited for when the server goes.
  const wait = unary(async ({ jobID }: IdRequest) => {
    await manager.wait(jobID);
    return toQueryResponse(await manager.query(jobID));
  }, { begun: shutdown.begun, overdue: shutdown.begun });
  const remove = unary(async ({ jobID }: IdRequest) => {
    await manager.remove(jobID);
    return {};
  }, shutdown);
  return {
    Start: start,
    Stop: stop,
    Query: query,
    Wait: wait,
    Remove: remove,
    Stream: stream(manager, shutdown.begun),
  };
}

interface IdRequest {
  jobID: string;
}

interface StopRequest extends IdRequest {
  gracePeriodMs?: number;
}

function unary<Request, Response>(
  handle: (request: Request, owner: string) => Promise<Response>,
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
    handle(call.request, caller.name).then(
      (response) => answer(null, response),
      (error: unknown) => answer(toStatus(error)),
    );
  };
}

function stream(
  manager: JobManager,
  shutdown: AbortSignal,
): handleServerStreamingCall<StreamRequest__Output, StreamResponse> {
  return async (call: ServerWritableStream<StreamRequest__Output, StreamResponse>) => {
    const { access } = callerOf(call);
    const ended = new AbortController();
    const end = () => ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    using _interruption = onInterruption({ shutdown, access }, end);
    try {
      const output = manager.output(call.request.jobID);
      await sendOutput(call, output, ended.signal);
      if (shutdown.aborted || access.aborted) throw interruptionOf({ shutdown, access });
      call.end();
    } catch (error) {
      call.emit("error", toStatus(error));
    } finally {
      ended.abort();
    }
  };
}

/** What ends calls before their time. */
interface Interruptions {
  /** The server ends. */
  readonly shutdown: AbortSignal;
  /** The caller has lost access; the reason says why. */
  readonly access: AbortSignal;
}

function onInterruption({ shutdown, access }: Interruptions, interrupt: () => void): Disposable {
  shutdown.addEventListener("abort", interrupt);
  access.addEventListener("abort", interrupt);
  return {
    [Symbol.dispose]: () => {
      shutdown.removeEventListener("abort", interrupt);
      access.removeEventListener("abort", interrupt);
    },
  };
}

function interruptionOf({ access }: Interruptions): unknown {
  return access.aborted ? access.reason : new JobError("unavailable", SHUTTING_DOWN);
}

/** Sends output as it comes, at the pace of the reader's connection. */
async function sendOutput(
  call: ServerWritableStream<StreamRequest__Output, StreamResponse>,
  output: OutputLog,
  signal: AbortSignal,
): Promise<void> {
  using pace = new StreamPace(http2StreamOf(call));
  const range = toReadRange(call.request);
  // Of a tail nobody knows it before the log says where it begins.
  let nextOffset = range.offset ?? (isTail(range) ? undefined : 0);
  let held: Uint8Array = NOTHING;
  const send = (output: Uint8Array, offset: number, gapBytes: number) => {
    nextOffset = offset + output.length;
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

/** An answer to Query; also of a job that has ended. */
function toQueryResponse({ record, usage, outputBytes }: JobView): QueryResponse {
  const { command, state, limits, owner, firstOffset } = record;
  const common = {
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

/** The one boundary between errors and gRPC: what is not meant for a client stays in the log. */
function toStatus(error: unknown): Pick<ServiceError, "code" | "details" | "name" | "message"> {
  if (error instanceof JobError && error.kind !== "internal") {
    if (error.cause !== undefined) {
      log.warn(error.message, { cause: messageOf(error.cause) });
    }
    return describe(STATUS_CODES[error.kind], error.message);
  }
  if (error instanceof Deno.errors.NotFound) {
    return describe(status.NOT_FOUND, "The job's output is gone from the server");
  }
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : "";
  log.error("a call failed", { error: messageOf(error), cause });
  return describe(status.INTERNAL, "The server failed; its log says why");
}

function describe(code: status, details: string) {
  return { code, details, name: "JobError", message: details };
}
