/** Answers to a sender of input, at the pace at which it takes them. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type InputResponse, jobService } from "../../proto/contract.ts";
import { http2StreamOf, writeFramed } from "./internals.ts";
import { StreamPace } from "./pacing.ts";
import type { InputAnswers as Answers } from "./receive_input.ts";

/** The compression flag and the length before each message (gRPC over HTTP/2). */
const PREFIX_BYTES = 5;

/** The answers of one call. */
export class InputAnswers<Request> implements Answers, Disposable {
  readonly #call: ServerDuplexStream<Request, InputResponse>;
  readonly #pace: StreamPace;

  /** @param call A call to which nothing has been written yet. */
  constructor(call: ServerDuplexStream<Request, InputResponse>) {
    this.#call = call;
    this.#pace = new StreamPace(http2StreamOf(call));
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
