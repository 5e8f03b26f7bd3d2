/** Answers to a sender of input, at the pace at which it takes them. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
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

/** The answers of one call. */
export class InputAnswers<Request> implements Answers, Disposable {
  readonly #call: ServerDuplexStream<Request, InputResponse>;
  readonly #pace: StreamPace;

  /** @param call A call to which nothing has been written yet. */
  constructor(call: ServerDuplexStream<Request, InputResponse>) {
    this.#call = call;
    const stream = http2StreamOf(call);
    this.#pace = new StreamPace(stream);
    // For the connection, and for each of its streams.
    stream.session?.setLocalWindowSize(WINDOW_BYTES);
    stream.session?.settings({ initialWindowSize: WINDOW_BYTES });
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
