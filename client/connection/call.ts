/** One gRPC call over an HTTP/2 stream (grpc/doc/PROTOCOL-HTTP2.md). */
import { Buffer } from "node:buffer";
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { setImmediate } from "node:timers";
import { type CallStatus, GrpcStatus, messageOf } from "../errors.ts";
import { type ReceivedHeaders, statusIn, statusOfEnd, statusOfHttp } from "./call_status.ts";
import { frameMessage, MessageReader } from "./messages.ts";

/** HTTP/2's codes for a stream that is given up: its end is known, or is of no interest any more. */
const NO_ERROR = 0, CANCEL = 8;

/** The protocol has room for eight digits. */
const MAX_TIMEOUT_MS = 99_999_999;

/** What a call needs of a connection. */
export interface CallTransport {
  /**
   * Opens a stream.
   *
   * @param onDropped Called when the connection is gone.
   * @throws The connection takes no more.
   */
  request(headers: OutgoingHttpHeaders, onDropped: () => void): ClientHttp2Stream;
}

/** A method's path, and how its messages become bytes. */
export interface Method<Request, Answer> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Uint8Array;
  readonly responseDeserialize: (bytes: Buffer) => Answer;
}

/** Is told what the server answers. */
export interface CallListener {
  /** A message; the callee may keep it. What it throws ends the call with INTERNAL. */
  onMessage(message: Buffer): void;
  /** The end, once: nothing comes behind it. */
  onEnd(status: CallStatus): void;
}

/** Which call is made. */
export interface CallOptions {
  /** `/Service/Method`. */
  readonly path: string;
  /** How long it may take, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The longest message that is accepted, in bytes. */
  readonly maxMessageBytes: number;
  readonly listener: CallListener;
}

/** One call, which begins when its connection is there. */
export class Call {
  readonly #listener: CallListener;
  readonly #messages: MessageReader;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #stream: ClientHttp2Stream | undefined;
  /** What is sent as soon as there is a stream. */
  #unsent: { frame: Uint8Array; onSent: (() => void) | undefined }[] = [];
  #hasAllSent = false;
  #httpStatus: number | undefined;
  #problem: string | undefined;
  /** What the server has said; it counts when all messages before it have been read. */
  #status: CallStatus | undefined;
  /** Its data is no messages; nothing behind that is read. */
  #hasBadData = false;
  #isOver = false;

  constructor(
    transport: CallTransport | Promise<CallTransport>,
    { path, timeoutMs, maxMessageBytes, listener }: CallOptions,
  ) {
    this.#listener = listener;
    this.#messages = new MessageReader(maxMessageBytes, (message) => {
      if (!this.#isOver) this.#take(Buffer.from(message.buffer));
    });
    const headers: OutgoingHttpHeaders = {
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-accept-encoding": "identity",
      "user-agent": "worker-client",
    };
    if (timeoutMs !== undefined) {
      headers["grpc-timeout"] = `${Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS)}m`;
      this.#timer = setTimeout(() => {
        this.#end({ code: GrpcStatus.deadlineExceeded, details: "Deadline exceeded" });
      }, timeoutMs);
    }
    if (!(transport instanceof Promise)) this.#open(transport, headers);
    else transport.then((ready) => this.#open(ready, headers), (error) => this.#lose(error));
  }

  /**
   * Sends a message.
   *
   * @param onSent Called when the connection has taken it, for who sends no faster than that.
   */
  send(message: Uint8Array, onSent?: () => void): void {
    if (this.#isOver) return;
    const frame = frameMessage(message);
    if (this.#stream === undefined) this.#unsent.push({ frame, onSent });
    else this.#stream.write(frame, onSent);
  }

  /** Says that all messages have been sent. */
  endSending(): void {
    this.#hasAllSent = true;
    this.#stream?.end();
  }

  /** Ends the call from this side. */
  cancel(): void {
    this.#end({ code: GrpcStatus.cancelled, details: "Call cancelled" });
  }

  #open(transport: CallTransport, headers: OutgoingHttpHeaders): void {
    if (this.#isOver) return;
    let stream: ClientHttp2Stream;
    try {
      stream = transport.request(headers, () => this.#drop());
    } catch (error) {
      return this.#lose(error);
    }
    this.#stream = stream;
    stream.on("response", (received: ReceivedHeaders) => {
      this.#httpStatus = Number(received[":status"]);
      this.#takeStatus(received);
    });
    stream.on("trailers", (received: ReceivedHeaders) => this.#takeStatus(received));
    stream.on("data", (bytes: Uint8Array) => this.#read(bytes));
    // A server that has ended the call closes the stream, too.
    stream.on("end", () => this.#status && this.#end(this.#status));
    stream.on("error", (error) => this.#problem = messageOf(error));
    // An error may be told of just behind it.
    stream.on("close", () => setImmediate(() => this.#end(this.#status ?? this.#statusOfEnd())));
    for (const { frame, onSent } of this.#unsent.splice(0)) stream.write(frame, onSent);
    if (this.#hasAllSent) stream.end();
  }

  #read(bytes: Uint8Array): void {
    if (this.#isOver || this.#hasBadData) return;
    try {
      this.#messages.take(bytes);
    } catch (error) {
      this.#hasBadData = true;
      const end = () => this.#endWithBadData(messageOf(error));
      // This runtime may tell of the answer's head just behind the first data.
      if (this.#httpStatus === undefined) setImmediate(end);
      else end();
    }
  }

  /** An error page of something that is no gRPC server looks like a message that is too long. */
  #endWithBadData(details: string): void {
    const isGrpc = this.#httpStatus === undefined || this.#httpStatus === 200;
    this.#end(
      isGrpc
        ? { code: GrpcStatus.resourceExhausted, details }
        : statusOfHttp(this.#httpStatus ?? 0),
    );
  }

  #take(message: Buffer): void {
    try {
      this.#listener.onMessage(message);
    } catch (error) {
      const details = `Response message parsing error: ${messageOf(error)}`;
      this.#end({ code: GrpcStatus.internal, details });
    }
  }

  #takeStatus(headers: ReceivedHeaders): void {
    this.#status ??= statusIn(headers);
    if (this.#status !== undefined && this.#status.code !== GrpcStatus.ok) this.#end(this.#status);
  }

  /** The connection is gone; what has come of the answer is read before that counts. */
  #drop(): void {
    setImmediate(() => this.#end(this.#status ?? this.#statusOfEnd(true)));
  }

  #lose(error: unknown): void {
    this.#end({ code: GrpcStatus.unavailable, details: messageOf(error) });
  }

  #statusOfEnd(isDropped = false): CallStatus {
    return statusOfEnd({
      errorCode: this.#stream?.rstCode ?? NO_ERROR,
      httpStatus: this.#httpStatus,
      problem: this.#problem,
      isDropped,
    });
  }

  #end(status: CallStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#release();
    this.#listener.onEnd(status);
  }

  #release(): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.destroyed) return;
    // A server that has said how the call ended needs no reset; the rest of its frames is let through.
    if (this.#status !== undefined) stream.end();
    else stream.close(CANCEL);
    stream.resume();
  }
}
