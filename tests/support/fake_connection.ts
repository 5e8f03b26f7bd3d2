/** Connections that never leave the process: a test answers the calls itself. */
import { EventEmitter } from "node:events";
import { Buffer } from "node:buffer";
import type { Connection } from "../../client/connection/connection.ts";
import type { Endpoint } from "../../client/endpoint/endpoint.ts";
import type { StreamRequest } from "../../proto/contract.ts";

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
  readonly calls: string[] = [];
  isClosed = false;
  readonly #answer: Answer;

  constructor(answer: Answer = () => ({})) {
    this.#answer = answer;
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

  /** Itself, as what it stands in for. */
  get asConnection(): Connection {
    return this as unknown as Connection;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}
