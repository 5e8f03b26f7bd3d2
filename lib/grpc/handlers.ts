/**
 * Makes grpc-js handlers from functions that return an answer or throw; every call ends exactly
 * once.
 */
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerDuplexStream,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import { isRecoded } from "../../proto/contract.ts";
import { JobError } from "../errors.ts";
import { type CallContext, contextOf } from "./call_context.ts";
import {
  interruptionOf,
  type Interruptions,
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

/** From the beginning of a call with many answers to its end. */
class StreamScope implements Disposable {
  readonly context: CallContext;
  readonly interruptions: Interruptions;
  readonly #ended = new AbortController();
  readonly #interruption: Disposable;

  /** @param shutdown Ends the call. */
  constructor(
    call: { on(event: "cancelled" | "close", listener: () => void): unknown },
    shutdown: AbortSignal,
  ) {
    this.context = contextOf(call);
    this.interruptions = { shutdown, access: this.context.access };
    const end = () => this.#ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    this.#interruption = onInterruption(this.interruptions, end);
  }

  /** Aborted when the call has ended or must end. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#interruption[Symbol.dispose]();
  }
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
    using scope = new StreamScope(call, shutdown);
    const { context, interruptions, ended } = scope;
    try {
      if (isRecoded(call.request)) throw NOT_UTF8;
      if (!isInterrupted(interruptions)) await handle({ call, context, ended });
      if (isInterrupted(interruptions)) throw interruptionOf(interruptions);
      call.end();
    } catch (error) {
      call.emit("error", toStatus(error));
    }
  };
}

/** A call with many messages in both directions, as its handler sees it. */
export interface DuplexCall<Request, Response> {
  readonly call: ServerDuplexStream<Request, Response>;
  readonly context: CallContext;
  /** Aborted when the call has ended or must end: then nothing more is to be sent. */
  readonly ended: AbortSignal;
  /** The first message. @throws {JobError} "invalid" where there is none. */
  readonly first: Promise<Request>;
  /** Hands over the messages after the first one, also those that have come already, and their end. */
  listen(onMessage: (message: Request) => void, onEnd: () => void): void;
}

/**
 * A handler with a stream of messages and one of answers. Messages are taken as they come: what is not
 * taken, the runtime would keep without a bound.
 *
 * @param handle Sends the answers, and returns after the last one or when `ended` is aborted.
 * @param shutdown Ends the calls.
 */
export function duplexHandler<Request, Response>(
  handle: (duplex: DuplexCall<Request, Response>) => Promise<void>,
  shutdown: AbortSignal,
): handleBidiStreamingCall<Request, Response> {
  return async (call) => {
    using scope = new StreamScope(call, shutdown);
    const { context, interruptions, ended } = scope;
    const messages = firstAndOthers<Request>(
      call as ServerDuplexStream<Request, never>,
      ended,
    );
    try {
      if (!isInterrupted(interruptions)) {
        await handle({ call, context, ended, ...messages });
      }
      if (isInterrupted(interruptions)) throw interruptionOf(interruptions);
      call.end();
    } catch (error) {
      call.emit(
        "error",
        toStatus(isInterrupted(interruptions) ? interruptionOf(interruptions) : error),
      );
    }
  };
}

/** Messages that come before anybody listens, but for the first one, are more than a caller may send then. */
function firstAndOthers<Request>(
  call: Pick<ServerDuplexStream<Request, never>, "on">,
  ended: AbortSignal,
): Pick<DuplexCall<Request, unknown>, "first" | "listen"> {
  const first = Promise.withResolvers<Request>();
  first.promise.catch(() => {}); // The call may have ended before anybody waits for it.
  let hasFirst = false;
  let isOver = false;
  let early: JobError | undefined;
  let onMessage: ((message: Request) => void) | undefined;
  let onEnd = () => {};
  call.on("data", (message: Request) => {
    if (!hasFirst) {
      hasFirst = true;
      if (isRecoded(message)) first.reject(NOT_UTF8);
      else first.resolve(message);
    } else if (onMessage !== undefined) {
      onMessage(message);
    } else {
      early = new JobError("invalid", "Cannot take a message before the first one was answered");
    }
  });
  const over = () => {
    isOver = true;
    first.reject(new JobError("invalid", "Cannot read the request: there is none"));
    onEnd();
  };
  call.on("end", over);
  ended.addEventListener("abort", over);
  return {
    first: first.promise,
    listen: (listener, whenOver) => {
      if (early !== undefined) throw early;
      [onMessage, onEnd] = [listener, whenOver];
      if (isOver) onEnd();
    },
  };
}
