import {
  type Event__Output,
  type EventsRequest,
  type InputRequest,
  type InputResponse__Output,
  jobService,
  type JobServiceDefinition,
  type StreamRequest,
  type StreamResponse__Output,
} from "../../proto/contract.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { type CallStatus, fromStatus } from "../errors.ts";
import { type AnswerStream, type DuplexStream, StreamingCall } from "./answer_stream.ts";
import { ask } from "./ask.ts";
import type { Method } from "./call.ts";
import { diagnose } from "./diagnosis.ts";
import { Transport } from "./transport.ts";

/** The unary methods. */
export type UnaryMethod =
  | "Start"
  | "Stop"
  | "Signal"
  | "Update"
  | "Query"
  | "List"
  | "Info"
  | "Wait"
  | "Remove";

/** What a method takes. */
export type RequestOf<Method extends UnaryMethod> = Parameters<
  JobServiceDefinition[Method]["requestSerialize"]
>[0];

/** What a method answers. */
export type ResponseOf<Method extends UnaryMethod> = ReturnType<
  JobServiceDefinition[Method]["responseDeserialize"]
>;

/** How long a handshake may take; then the reason is diagnosed. */
const CONNECT_TIMEOUT_MS = 7_000;

/** The server sends far smaller messages; another peer must not be able to fill the memory. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** One connection to the server, ready for calls. One that the server has closed is made again. */
export class Connection implements Disposable {
  #transport: Transport | Promise<Transport>;
  #certificate: Uint8Array | undefined;
  #isClosed = false;
  /** The server, and the identity that is used. */
  readonly endpoint: Endpoint;

  private constructor(transport: Transport, endpoint: Endpoint) {
    this.#transport = transport;
    this.#certificate = transport.certificate;
    this.endpoint = endpoint;
  }

  /**
   * Dials the server.
   *
   * @throws {ConnectionFailure} It cannot be reached, or one side does not trust the other.
   */
  static async open(endpoint: Endpoint): Promise<Connection> {
    let transport: Transport;
    try {
      transport = await openInTime(endpoint);
    } catch {
      throw await diagnose(endpoint);
    }
    return new Connection(transport, endpoint);
  }

  /**
   * Calls a method.
   *
   * @param method The method.
   * @param request What it takes.
   * @param options How long to wait for the answer, and a signal that cancels the call.
   * @throws {ClientError} As `fromStatus` says.
   */
  call<Called extends UnaryMethod>(
    method: Called,
    request: RequestOf<Called>,
    { timeoutMs, signal }: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } =
      {},
  ): Promise<ResponseOf<Called>> {
    // The compiler cannot follow that the method's name decides on both types at once.
    const definition = jobService[method] as unknown as Method<
      RequestOf<Called>,
      ResponseOf<Called>
    >;
    return ask(this.#ready(), definition, request, {
      timeoutMs,
      signal,
      maxMessageBytes: MAX_MESSAGE_BYTES,
    }).catch((status: CallStatus) => {
      throw fromStatus(status, { server: this.server, method });
    });
  }

  /** Opens a stream of a job's output; the caller ends it. */
  stream(request: StreamRequest): AnswerStream<StreamResponse__Output> {
    return this.#stream(jobService.Stream).ask(request);
  }

  /** Opens a stream of events; the caller ends it. */
  events(request: EventsRequest): AnswerStream<Event__Output> {
    return this.#stream(jobService.Events).ask(request);
  }

  /** Opens a call that sends a job its input; the caller ends it. */
  input(): DuplexStream<InputRequest, InputResponse__Output> {
    return this.#stream(jobService.Input);
  }

  #stream<Request, Answer>(method: Method<Request, Answer>): StreamingCall<Request, Answer> {
    return new StreamingCall(this.#ready(), method, MAX_MESSAGE_BYTES);
  }

  /** What calls go over: a server may close a connection that was idle, or when it hands over. */
  #ready(): Transport | Promise<Transport> {
    const last = this.#transport;
    if (last instanceof Promise || last.isOpen) return last;
    if (this.#isClosed) return Promise.reject(new Error("The connection was closed"));
    const opening = openInTime(this.endpoint);
    this.#transport = opening;
    opening.then((transport) => {
      this.#transport = transport;
      this.#certificate = transport.certificate;
      if (this.#isClosed) transport[Symbol.dispose]();
    }, () => {
      // The calls that waited for it fail; the next call tries again.
      this.#transport = last;
    });
    return opening;
  }

  /** Lets the server send no more than what is left of its window, at most 8 MiB; streams stay open. */
  hold(): void {
    if (this.#transport instanceof Transport) this.#transport.hold(true);
  }

  /**
   * Ends what {@linkcode hold} has begun.
   *
   * @param goesOn Whether an open stream waits for it; else the next request tells the server.
   */
  release({ goesOn }: { goesOn: boolean }): void {
    if (!(this.#transport instanceof Transport) || this.#isClosed) return;
    this.#transport.hold(false);
    // Any answer will do, also a refusal.
    if (goesOn) this.call("Info", {}, { timeoutMs: CONNECT_TIMEOUT_MS }).catch(() => {});
  }

  /** `HOST:PORT`, for messages. */
  get server(): string {
    return this.endpoint.address.text;
  }

  /** The server's certificate, which was verified; DER. */
  get serverCertificate(): Uint8Array | undefined {
    return this.#certificate;
  }

  /** Closes the connection and cancels the calls on it. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    if (this.#transport instanceof Transport) this.#transport[Symbol.dispose]();
  }
}

/** @throws There is no connection after some time, or none can be made. */
async function openInTime(endpoint: Endpoint): Promise<Transport> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error("no answer in time")), CONNECT_TIMEOUT_MS);
  try {
    return await Transport.open(endpoint, late.signal);
  } finally {
    clearTimeout(timer);
  }
}
