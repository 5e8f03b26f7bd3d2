/** Where the output of a job goes: the stream of a call. */
import type { ServerWritableStream } from "@grpc/grpc-js";
import { http2StreamOf, writeFramed } from "./internals.ts";
import { StreamPace } from "./pacing.ts";
import type { OutputSink } from "./send_output.ts";

/** Writes to a call at the pace of its connection. */
export class CallSink<Request, Response> implements OutputSink, Disposable {
  readonly #call: ServerWritableStream<Request, Response>;
  readonly #pace: StreamPace;

  /** @param call A call to which nothing has been written yet. */
  constructor(call: ServerWritableStream<Request, Response>) {
    this.#call = call;
    this.#pace = new StreamPace(http2StreamOf(call));
  }

  get hasRoom(): boolean {
    return this.#pace.hasRoom;
  }

  ready(signal: AbortSignal): Promise<void> {
    return this.#pace.ready(signal);
  }

  write(frame: Uint8Array): void {
    writeFramed(this.#call, frame);
  }

  /** Writes a message that has no frame yet. */
  send(message: Response): void {
    this.#call.write(message);
  }

  [Symbol.dispose](): void {
    this.#pace[Symbol.dispose]();
  }
}
