/** A gRPC client with the contract's types, whose methods return promises. */
import { credentials, makeClientConstructor, Metadata, type ServiceError } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { createSecureContext } from "node:tls";
import {
  jobService,
  type JobServiceClient,
  type ListRequest,
  type ListResponse__Output,
  type QueryResponse__Output,
  type StartRequest,
  type StreamRequest,
  type StreamResponse__Output,
  type UpdateRequest,
} from "../../proto/contract.ts";

const decoder = new TextDecoder();

/** PEM texts of a client. */
export interface Identity {
  ca: string;
  cert: string;
  key: string;
}

/** A gRPC client whose methods return promises. */
export class TestClient {
  readonly raw: JobServiceClient;

  constructor(address: string, identity: Identity) {
    const secure = credentials.createFromSecureContext(
      createSecureContext({ ...identity, minVersion: "TLSv1.3" }),
    );
    // deno-lint-ignore no-explicit-any -- the constructor is made at run time
    const Constructor = makeClientConstructor(jobService as any, "JobService");
    this.raw = new Constructor(address, secure, {
      "grpc.enable_http_proxy": 0,
      // Tests that use two identities must not share a connection.
      "grpc.use_local_subchannel_pool": 1,
    }) as unknown as JobServiceClient;
  }

  /** Starts a job; returns its id. */
  start(name: string, ...args: string[]): Promise<string> {
    return this.startWith({ name, args });
  }

  /** Starts a job with all that a request can say; returns its id. */
  startWith(request: StartRequest, metadata = new Metadata()): Promise<string> {
    return new Promise((resolve, reject) => {
      this.raw.Start(
        request,
        metadata,
        (error, response) => error ? reject(error) : resolve(response?.jobID ?? ""),
      );
    });
  }

  /** Runs a script by /bin/sh as a job, with all else that a request can say; returns its id. */
  script(script: string, request: StartRequest = {}): Promise<string> {
    return this.startWith({ name: "/bin/sh", args: ["-c", script], ...request });
  }

  /** Runs a script by /bin/sh as a job; returns its id. */
  shell(script: string, ...args: string[]): Promise<string> {
    return this.start("/bin/sh", "-c", script, "sh", ...args);
  }

  stop(jobID: string, gracePeriodMs?: number): Promise<void> {
    const request = gracePeriodMs === undefined ? { jobID } : { jobID, gracePeriodMs };
    return new Promise((resolve, reject) => {
      this.raw.Stop(request, (error) => error ? reject(error) : resolve());
    });
  }

  query(jobID: string): Promise<QueryResponse__Output> {
    return new Promise((resolve, reject) => {
      this.raw.Query(
        { jobID },
        (error, response) => error || !response ? reject(error) : resolve(response),
      );
    });
  }

  wait(jobID: string): Promise<QueryResponse__Output> {
    return new Promise((resolve, reject) => {
      this.raw.Wait(
        { jobID },
        (error, response) => error || !response ? reject(error) : resolve(response),
      );
    });
  }

  signal(jobID: string, signal: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.raw.Signal({ jobID, signal }, (error) => error ? reject(error) : resolve());
    });
  }

  update(jobID: string, change: Omit<UpdateRequest, "jobID">): Promise<QueryResponse__Output> {
    return new Promise((resolve, reject) => {
      this.raw.Update(
        { jobID, ...change },
        (error, response) => error || !response ? reject(error) : resolve(response),
      );
    });
  }

  list(request: ListRequest = {}): Promise<ListResponse__Output> {
    return new Promise((resolve, reject) => {
      this.raw.List(
        request,
        (error, response) => error || !response ? reject(error) : resolve(response),
      );
    });
  }

  remove(jobID: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.raw.Remove({ jobID }, (error) => error ? reject(error) : resolve());
    });
  }

  /** A stream's messages, in order; who stops to read them ends it. */
  async *messages(request: StreamRequest): AsyncGenerator<StreamResponse__Output> {
    const call = this.raw.Stream(request);
    try {
      yield* call as AsyncIterable<StreamResponse__Output>;
    } finally {
      // Cancelling it is not a failure.
      call.on("error", () => {});
      call.cancel();
    }
  }

  /** All the bytes of a job's output, to its end. */
  async output(jobID: string, range: Omit<StreamRequest, "jobID"> = {}): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const { output } of this.messages({ jobID, ...range })) parts.push(output);
    return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  }

  /** The same as text. */
  async text(jobID: string): Promise<string> {
    return decoder.decode(await this.output(jobID));
  }

  /** Waits until a job has written something that matches. */
  async untilOutput(jobID: string, pattern: RegExp): Promise<void> {
    let text = "";
    for await (const { output } of this.messages({ jobID })) {
      text += decoder.decode(output, { stream: true });
      if (pattern.test(text)) return;
    }
    throw new Error(`The job ended without writing ${pattern}: ${text}`);
  }
}

/** Asserts that a call is refused with a gRPC status, and that its details match. */
export async function assertStatus(
  call: Promise<unknown>,
  code: number,
  details: RegExp = /./,
): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    const { code: actual, details: text } = error as ServiceError;
    assert.equal(actual, code, `status ${actual}: ${text}`);
    assert.match(text, details);
    return error as ServiceError;
  }
  assert.fail("the call succeeded");
}
