/**
 * Makes grpc-js handlers from functions that return an answer or throw; every call ends exactly
 * once.
 */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import { isRecoded } from "../../proto/contract.ts";
import { JobError } from "../errors.ts";
import { type CallContext, contextOf } from "./call_context.ts";
import {
  interruptionOf,
  isInterrupted,
  onInterruption,
  type Shutdown,
  toStatus,
} from "./endings.ts";

/** Such a text would not arrive as it was sent: another file, another value, another job. */
const NOT_UTF8 = new JobError("invalid", "Cannot read the request: a text in it is not UTF-8");

/**
 * A handler with one answer.
 *
 * @param handle Makes the answer. Its signal is aborted when the caller has gone or the call is
 * interrupted; its answer is dropped then.
 */
export function unaryHandler<Request, Response>(
  handle: (
    request: Request,
    context: CallContext,
    metadata: Metadata,
    ended: AbortSignal,
  ) => Promise<Response>,
  { begun, overdue }: Shutdown,
): handleUnaryCall<Request, Response> {
  return (call, respond) => {
    const context = contextOf(call);
    const interruptions = { shutdown: overdue, access: context.access };
    const ended = new AbortController();
    let isAnswered = false;
    const answer: typeof respond = (error, response) => {
      if (isAnswered) return;
      isAnswered = true;
      interruption[Symbol.dispose]();
      respond(error, response);
    };
    const interrupt = () => {
      ended.abort(interruptionOf(interruptions));
      answer(toStatus(interruptionOf(interruptions)));
    };
    call.on("cancelled", () => ended.abort(new JobError("unavailable", "The caller has gone")));
    const interruption = onInterruption(interruptions, interrupt);
    if (begun.aborted || isInterrupted(interruptions)) return interrupt();
    if (isRecoded(call.request)) return answer(toStatus(NOT_UTF8));
    handle(call.request, context, call.metadata, ended.signal).then(
      (response) => {
        if (isAnswered || call.cancelled) context.endLate(status[status.OK]);
        answer(null, response);
      },
      (error: unknown) => {
        const failure = toStatus(error);
        if (isAnswered || call.cancelled) context.endLate(status[failure.code]);
        answer(failure);
      },
    );
  };
}

/** A call with many answers, as its handler sees it. */
export interface StreamingCall<Request, Response> {
  readonly call: ServerWritableStream<Request, Response>;
  readonly context: CallContext;
  /** Aborted when the call has ended or must end: then nothing more is to be sent. */
  readonly ended: AbortSignal;
}

/**
 * A handler with a stream of answers.
 *
 * @param handle Sends the answers, and returns after the last one or when `ended` is aborted.
 * @param shutdown Ends the streams.
 */
export function streamHandler<Request, Response>(
  handle: (streaming: StreamingCall<Request, Response>) => Promise<void>,
  shutdown: AbortSignal,
): handleServerStreamingCall<Request, Response> {
  return async (call) => {
    const context = contextOf(call);
    const interruptions = { shutdown, access: context.access };
    const ended = new AbortController();
    const end = () => ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    using _interruption = onInterruption(interruptions, end);
    try {
      if (isRecoded(call.request)) throw NOT_UTF8;
      if (!isInterrupted(interruptions)) await handle({ call, context, ended: ended.signal });
      if (isInterrupted(interruptions)) throw interruptionOf(interruptions);
      call.end();
    } catch (error) {
      call.emit("error", toStatus(error));
    } finally {
      end();
    }
  };
}
