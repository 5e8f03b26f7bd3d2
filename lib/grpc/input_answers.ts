/** Answers to a sender of input, at the pace at which it takes them. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Http2Session } from "node:http2";
import { type InputResponse, jobService } from "../../proto/contract.ts";
import { http2StreamOf, writeFramed } from "./internals.ts";
import { StreamPace } from "./pacing.ts";
import type { InputAnswers as Answers } from "./receive_input.ts";

/** The compression flag and the length before each message (gRPC over HTTP/2). */
const PREFIX_BYTES = 5;

/**
 * What a sender may send before it hears that it has come: with the default of 64 KiB, input over a line of
 * 40 ms goes at 0.5 MB/s. For its connection alone, since with larger windows a flood comes faster.
 */
const WINDOW_BYTES = 1024 ** 2;

/** Connections that have such windows. */
const widened = new WeakSet<Http2Session>();

/** The answers of one call. */
export class InputAnswers<Request> implements Answers, Disposable {
  readonly #call: ServerDuplexStream<Request, InputResponse>;
  readonly #pace: StreamPace;

  /** @param call A call to which nothing has been written yet. */
  constructor(call: ServerDuplexStream<Request, InputResponse>) {
    this.#call = call;
    const stream = http2StreamOf(call);
    this.#pace = new StreamPace(stream);
    if (stream.session !== undefined) widen(stream.session);
  }

  get hasRoom(): boolean {
    return this.#pace.hasRoom;
  }

  ready(signal: AbortSignal): Promise<void> {
    return this.#pace.ready(signal);
  }

  send(answer: InputResponse): void {
    const message = jobService.Input.responseSerialize(answer);
    const frame = new Uint8Array(PREFIX_BYTES + message.length);
    new DataView(frame.buffer).setUint32(1, message.length);
    frame.set(message, PREFIX_BYTES);
    writeFramed(this.#call, frame);
  }

  [Symbol.dispose](): void {
    this.#pace[Symbol.dispose]();
  }
}

/** Once for each connection: the runtime refuses settings while ten are not acknowledged, and the call fails. */
function widen(session: Http2Session): void {
  if (widened.has(session)) return;
  widened.add(session);
  // For the connection, and for each of its streams.
  session.setLocalWindowSize(WINDOW_BYTES);
  session.settings({ initialWindowSize: WINDOW_BYTES });
}
