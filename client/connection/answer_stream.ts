/** Calls that bring more than one answer, as events. */
import { EventEmitter } from "node:events";
import { type CallStatus, GrpcStatus } from "../errors.ts";
import { Call, type CallTransport, type Method } from "./call.ts";

/** A call whose answers come one by one: `data` for each, then `end`, or `error` with its status. */
export interface AnswerStream<Answer> {
  on(event: "data", listener: (answer: Answer) => void): unknown;
  on(event: "error", listener: (status: CallStatus) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  /** Ends the call; nothing comes behind that. */
  cancel(): void;
}

/** A call that also sends more than one message. */
export interface DuplexStream<Request, Answer> extends AnswerStream<Answer> {
  /** @param onSent Called when the connection has taken it, for who sends no faster than that. */
  write(request: Request, onSent?: () => void): void;
  /** Says that all messages have been sent. */
  end(): void;
}

/** The one call of a stream. */
export class StreamingCall<Request, Answer> extends EventEmitter
  implements DuplexStream<Request, Answer> {
  readonly #call: Call;
  readonly #serialize: (request: Request) => Uint8Array;
  #isCancelled = false;

  constructor(
    transport: CallTransport | Promise<CallTransport>,
    { path, requestSerialize, responseDeserialize }: Method<Request, Answer>,
    maxMessageBytes: number,
  ) {
    super();
    this.#serialize = requestSerialize;
    this.#call = new Call(transport, {
      path,
      maxMessageBytes,
      listener: {
        onMessage: (message) => this.emit("data", responseDeserialize(message)),
        // The caller has yet to listen where the call has failed at once.
        onEnd: (status) => queueMicrotask(() => this.#end(status)),
      },
    });
  }

  write(request: Request, onSent?: () => void): void {
    this.#call.send(this.#serialize(request), onSent);
  }

  end(): void {
    this.#call.endSending();
  }

  /** Sends the one message of a call whose answers alone are many. */
  ask(request: Request): this {
    this.write(request);
    this.end();
    return this;
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#call.cancel();
  }

  #end(status: CallStatus): void {
    if (this.#isCancelled) return;
    if (status.code === GrpcStatus.ok) this.emit("end");
    else this.emit("error", status);
  }
}
