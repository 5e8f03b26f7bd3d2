/** Connections that never leave the process: a test answers the calls itself. */
import { EventEmitter } from "node:events";
import { Buffer } from "node:buffer";
import type { Connection } from "../../client/connection/connection.ts";
import type { Endpoint } from "../../client/endpoint/endpoint.ts";
import type { InputRequest, InputResponse, StreamRequest } from "../../proto/contract.ts";

/** An endpoint that nothing is sent to. */
export const ENDPOINT = {
  address: { host: "localhost", port: 1, text: "localhost:1" },
  identity: { name: "alice" },
} as Endpoint;

/** One stream that was requested. */
export class FakeStream extends EventEmitter {
  isCancelled = false;

  constructor(readonly request: StreamRequest) {
    super();
  }

  cancel(): void {
    this.isCancelled = true;
  }

  /** Sends a message. */
  send(offset: number, text: string, gapBytes = 0): void {
    this.emit("data", { offset, output: Buffer.from(text), gapBytes });
  }

  /** Ends the stream with a gRPC status. */
  fail(code: number, details: string): void {
    this.emit("error", Object.assign(new Error(details), { code, details }));
  }
}

/** One call that sends input. */
export class FakeInputCall extends EventEmitter {
  readonly sent: InputRequest[] = [];
  isCancelled = false;
  /** Called with each message. */
  onSent: (request: InputRequest) => void = () => {};

  /** Whether what is written stays where it is. */
  isStuck = false;

  write(request: InputRequest, written: () => void = () => {}): void {
    this.sent.push(request);
    this.onSent(request);
    if (!this.isStuck) queueMicrotask(written);
  }

  cancel(): void {
    this.isCancelled = true;
  }

  /** The sender sends no more; this end ends the call, too. */
  end(): void {
    queueMicrotask(() => this.emit("end"));
  }

  /** Answers. */
  answer(heldBytes: number, answer: InputResponse = {}): void {
    this.emit("data", {
      heldBytes,
      allowedBytes: heldBytes + 4,
      ended: false,
      unread: false,
      ...answer,
    });
  }

  /** What has come of the input, as text. */
  get text(): string {
    return this.sent.map(({ data }) => new TextDecoder().decode(data as Uint8Array)).join("");
  }
}

/** Answers a unary call: returns the response, or throws. */
export type Answer = (
  method: string,
  request: unknown,
  options: { signal?: AbortSignal },
) => unknown;

/** Stands in for a {@linkcode Connection}. */
export class FakeConnection {
  readonly endpoint = ENDPOINT;
  readonly server = ENDPOINT.address.text;
  /** Without one there is no second connection. */
  readonly serverCertificate = undefined;
  readonly streams: FakeStream[] = [];
  readonly inputs: FakeInputCall[] = [];
  readonly calls: string[] = [];
  isClosed = false;
  /** What it was told about its window, in order. */
  readonly holds: string[] = [];
  readonly #answer: Answer;

  constructor(answer: Answer = () => ({})) {
    this.#answer = answer;
  }

  input(): FakeInputCall {
    const call = new FakeInputCall();
    this.inputs.push(call);
    return call;
  }

  async call(method: string, request: unknown, options: { signal?: AbortSignal }) {
    this.calls.push(method);
    return await this.#answer(method, request, options);
  }

  stream(request: StreamRequest): FakeStream {
    const stream = new FakeStream(request);
    this.streams.push(stream);
    return stream;
  }

  hold(): void {
    this.holds.push("held");
  }

  release({ goesOn }: { goesOn: boolean }): void {
    this.holds.push(goesOn ? "goes on" : "released");
  }

  /** Itself, as what it stands in for. */
  get asConnection(): Connection {
    return this as unknown as Connection;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}
