/**
 * Fakes of what the runtime and grpc-js hand to the server: sockets, sessions, streams and calls.
 * They are objects in memory, say so by their names, and do only what a test makes them do.
 */
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { type CallContext, setContext } from "../../lib/grpc/call_context.ts";
import type { Caller } from "../../lib/rbac.ts";

export const ALICE: Caller = { name: "alice", serial: "A1", roles: ["writer"] };
export const BOB: Caller = { name: "bob", serial: "B2", roles: ["reader"] };

/** An HTTP/2 session on a socket. */
export class FakeSession extends EventEmitter {
  destroyed = false;
  readonly #socket: object;

  constructor(socket: object) {
    super();
    this.#socket = socket;
  }

  /** As the runtime's, it throws after a disconnect. */
  get socket(): object {
    if (this.destroyed) throw new Error("ERR_HTTP2_SOCKET_UNBOUND");
    return this.#socket;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }
}

/** An HTTP/2 stream that keeps what is written to it. */
export class FakeStream extends EventEmitter {
  destroyed = false;
  closed = false;
  headersSent = true;
  readonly written: Uint8Array[] = [];

  constructor(readonly session?: FakeSession, readonly id = 1) {
    super();
  }

  /** The codes that it was closed with. */
  readonly closes: number[] = [];

  close(code: number): void {
    this.closes.push(code);
  }

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    return true;
  }

  destroy(): void {
    this.destroyed = true;
    this.closed = true;
    this.emit("close");
  }
}

/** A context of a call, and what takes the caller's access away. */
export function fakeContext(
  caller: Caller = ALICE,
  method = "Query",
): { context: CallContext; access: AbortController } {
  const access = new AbortController();
  const context: CallContext = {
    caller,
    access: access.signal,
    method,
    job: undefined,
    details: {},
    beginChange: (job) => void (context.job = job),
    endLate: () => {},
  };
  return { context, access };
}

/** A call of a handler, as grpc-js makes it. */
export class FakeCall<Request> extends EventEmitter {
  readonly metadata = new Metadata();
  readonly call: { stream: FakeStream };
  cancelled = false;
  isEnded = false;
  readonly messages: unknown[] = [];
  readonly errors: { code: number; details: string }[] = [];

  /** @param context Undefined: no interceptor has seen the call. */
  constructor(
    readonly request: Request,
    context: CallContext | undefined,
    stream = new FakeStream(),
  ) {
    super();
    this.call = { stream };
    if (context !== undefined) setContext(stream as unknown as ServerHttp2Stream, context);
    this.on("error", (error) => this.errors.push(error));
  }

  write(message: unknown): void {
    this.messages.push(message);
  }

  end(): void {
    this.isEnded = true;
  }
}

/** What an interceptor is given: a call whose events a test makes. */
export class FakeIncomingCall {
  readonly stream: FakeStream;
  readonly statuses: Partial<StatusObject>[] = [];
  /** What the interceptor listens with. */
  listener: {
    onReceiveMetadata(metadata: Metadata): void;
    onReceiveMessage(message: unknown): void;
    onReceiveHalfClose(): void;
    onCancel(): void;
  } | undefined;

  constructor(stream = new FakeStream()) {
    this.stream = stream;
  }

  start(listener: FakeIncomingCall["listener"]): void {
    this.listener = listener;
  }

  sendMetadata(): void {}

  sendMessage(_message: unknown, callback: () => void): void {
    callback();
  }

  sendStatus(outcome: Partial<StatusObject>): void {
    this.statuses.push(outcome);
  }

  getPeer(): string {
    return "192.0.2.1:4321";
  }
}
