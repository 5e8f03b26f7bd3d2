/**
 * A server for the client's tests that does what a test tells it: answers as scripted, loses
 * answers, breaks connections, goes away and comes back. Over real mutual TLS.
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
} from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  type AddressInfo,
  connect,
  createServer,
  type Server as NetServer,
  type Socket,
} from "node:net";
import {
  jobService,
  type JobServiceHandlers,
  type QueryResponse,
  type StreamRequest__Output,
  type StreamResponse,
} from "../../proto/contract.ts";
import { Authority, type Pair } from "./client_certificates.ts";

/** How many bytes the fake sends in one message. */
const CHUNK_BYTES = 1000;

/** Names of a server that is reached over the loopback. */
export const LOOPBACK = [
  { type: "dns", value: "localhost" },
  { type: "ip", value: "127.0.0.1" },
] as const;

/** The methods with one answer. */
export type Method = "Start" | "Stop" | "Query" | "Wait" | "Remove" | "List" | "Info";

/** Files and environment of one client. */
export interface ClientHost extends Disposable {
  readonly folder: string;
  /** What names the server and the identity. */
  environment(address: string): Record<string, string>;
}

/** Puts an identity into a folder of its own. */
export function placeIdentity(pair: Pair, authority: Authority): ClientHost {
  const folder = Deno.makeTempDirSync({ prefix: "job-worker-client-" });
  Deno.writeTextFileSync(`${folder}/me.pem`, pair.key + pair.cert + authority.cert);
  return {
    folder,
    environment: (address) => ({
      JOB_WORKER_SERVER: address,
      JOB_WORKER_IDENTITY: `${folder}/me.pem`,
    }),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

/** What a job has written, and whether it goes on. */
export class FakeJob {
  #output = new Uint8Array();
  #firstOffset = 0;
  #isEnded = false;
  #listeners = new Set<() => void>();

  get output(): Uint8Array {
    return this.#output;
  }

  get firstOffset(): number {
    return this.#firstOffset;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  write(bytes: Uint8Array | string): void {
    const added = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    const whole = new Uint8Array(this.#output.length + added.length);
    whole.set(this.#output);
    whole.set(added, this.#output.length);
    this.#output = whole;
    this.#wake();
  }

  /** Forgets the bytes before an offset. */
  rotate(offset: number): void {
    this.#firstOffset = offset;
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** Calls back at each change. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** An error as a handler of grpc-js gives it. */
export function refusal(code: number, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

/** What a scripted call does instead of its ordinary answer, which may also be a promise of it. */
export type Scripted = object | ServiceError | (() => object | ServiceError | undefined);

/** The server. */
export class FakeServer implements AsyncDisposable {
  /** All requests in their order. */
  readonly requests: { method: Method | "Stream"; request: Record<string, unknown> }[] = [];
  readonly jobs = new Map<string, FakeJob>();
  /** Answers to give, one a call; when none is left, the ordinary ones. */
  readonly script: Partial<Record<Method | "Stream", Scripted[]>> = {};
  /** Whether heartbeats are sent to who asks for them. */
  hasHeartbeats = true;
  /** How many bytes before the one that was asked for a stream begins. */
  earlyBytes = 0;
  readonly #pair: Pair;
  readonly #clientAuthority: string;
  #server: Server | undefined;
  #port = 0;

  private constructor(pair: Pair, clientAuthority: string) {
    this.#pair = pair;
    this.#clientAuthority = clientAuthority;
  }

  /**
   * Starts a server on a free port of the loopback.
   *
   * @param pair Its certificate.
   * @param clientAuthority The CA of the clients that it lets in.
   */
  static async start(pair: Pair, clientAuthority: string): Promise<FakeServer> {
    const server = new FakeServer(pair, clientAuthority);
    await server.open();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** `HOST:PORT` by name. */
  get address(): string {
    return `localhost:${this.#port}`;
  }

  /** Listens (again), on the port it had. */
  async open(): Promise<void> {
    const server = new Server();
    server.addService(jobService, this.#handlers());
    const credentials = ServerCredentials.createSsl(
      Buffer.from(this.#clientAuthority),
      [{ private_key: Buffer.from(this.#pair.key), cert_chain: Buffer.from(this.#pair.cert) }],
      true,
    );
    this.#port = await new Promise((resolve, reject) => {
      server.bindAsync(
        `127.0.0.1:${this.#port}`,
        credentials,
        (error, port) => error ? reject(error) : resolve(port),
      );
    });
    this.#server = server;
  }

  /** Goes away at once, with all connections. */
  close(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** The requests of one method. */
  requestsOf(method: Method | "Stream"): Record<string, unknown>[] {
    return this.requests.filter((call) => call.method === method).map((call) => call.request);
  }

  // deno-lint-ignore require-await -- `await using` is what the tests say.
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #handlers(): JobServiceHandlers {
    return {
      Start: this.#unary("Start", () => ({ jobID: "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219" })),
      Stop: this.#unary("Stop", () => ({})),
      Query: this.#unary("Query", () => exitedJob(0)),
      Wait: this.#unary("Wait", () => exitedJob(0)),
      Remove: this.#unary("Remove", () => ({})),
      List: this.#unary("List", () => ({ jobs: [] })),
      Info: this.#unary("Info", () => ({ version: "1.0.0", jobUser: "root" })),
      Stream: (call) => this.#stream(call),
    } as JobServiceHandlers;
  }

  #unary(method: Method, ordinary: () => object) {
    return (
      call: ServerUnaryCall<object, object>,
      respond: (error: ServiceError | null, response?: object) => void,
    ) => {
      this.requests.push({ method, request: call.request as Record<string, unknown> });
      const scripted = this.script[method]?.shift();
      const answer = typeof scripted === "function" ? scripted() : scripted ?? ordinary();
      // Nothing scripted as an answer is an answer that never comes.
      const give = (given: object | undefined) => {
        if (given === undefined) return;
        if (given instanceof Error) respond(given as ServiceError);
        else respond(null, given);
      };
      if (answer instanceof Promise) answer.then(give);
      else give(answer);
    };
  }

  #stream(call: ServerWritableStream<StreamRequest__Output, StreamResponse>): void {
    const { jobID, heartbeatSeconds } = call.request;
    this.requests.push({ method: "Stream", request: { ...call.request } });
    const scripted = this.script.Stream?.shift();
    const answer = typeof scripted === "function" ? scripted() : scripted;
    const job = this.jobs.get(jobID);
    if (answer instanceof Error) return void call.emit("error", answer);
    if (job === undefined) {
      return void call.emit("error", refusal(5, `No job has the id "${jobID}"`));
    }
    sendOutput(call, job, {
      heartbeatSeconds: this.hasHeartbeats ? heartbeatSeconds : 0,
      earlyBytes: this.earlyBytes,
    });
  }
}

function sendOutput(
  call: ServerWritableStream<StreamRequest__Output, StreamResponse>,
  job: FakeJob,
  { heartbeatSeconds, earlyBytes }: { heartbeatSeconds: number; earlyBytes: number },
): void {
  let offset = Math.max(0, firstOffsetOf(call.request, job) - earlyBytes);
  const timer = heartbeatSeconds > 0
    ? setInterval(() => call.write({ output: Buffer.alloc(0), offset }), heartbeatSeconds * 1000)
    : undefined;
  let finish = () => {};
  const send = () => {
    while (offset < job.output.length) {
      const begin = Math.max(offset, job.firstOffset);
      const bytes = job.output.slice(begin, begin + CHUNK_BYTES);
      call.write({ output: Buffer.from(bytes), offset: begin, gapBytes: begin - offset });
      offset = begin + bytes.length;
    }
    if (!job.isEnded && !call.request.noFollow) return;
    finish();
    call.end();
  };
  const forget = job.onChange(send);
  finish = () => {
    clearInterval(timer);
    forget();
  };
  call.on("cancelled", () => finish());
  send();
}

function firstOffsetOf(request: StreamRequest__Output, job: FakeJob): number {
  if (request.tailBytes !== undefined) return Math.max(0, job.output.length - request.tailBytes);
  if (request.tailLines === undefined) return request.offset ?? 0;
  const lines = new TextDecoder().decode(job.output).split(/(?<=\n)/);
  return job.output.length - lines.slice(-request.tailLines || lines.length).join("").length;
}

/** The answer about a job that has ended. */
export function exitedJob(exitCode: number): QueryResponse {
  return { pid: 896581, exitCode, exited: true, state: "JOB_STATE_EXITED" };
}

/** A way to the server that a test can break. */
export class FakePath implements Disposable {
  /** How many connections were made over it. */
  connectionCount = 0;
  readonly #sockets = new Set<Socket>();
  readonly #listener: NetServer;
  #isFrozen = false;

  private constructor(target: () => number) {
    this.#listener = createServer((inner) => {
      this.connectionCount += 1;
      const outer = connect(target(), "127.0.0.1");
      for (const [from, to] of [[inner, outer], [outer, inner]] as const) {
        this.#sockets.add(from);
        from.on("data", (bytes) => this.#isFrozen || to.write(bytes));
        // The other end hears of it by "close".
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          if (!this.#isFrozen) to.destroy();
        });
      }
    });
  }

  /** Opens a way to a port, which is asked for anew for each connection. */
  static async open(target: () => number): Promise<FakePath> {
    const path = new FakePath(target);
    await new Promise<void>((resolve) => path.#listener.listen(0, "127.0.0.1", resolve));
    return path;
  }

  /** `HOST:PORT`. */
  get address(): string {
    return `localhost:${(this.#listener.address() as AddressInfo).port}`;
  }

  /** How many of them are open. */
  get openCount(): number {
    return this.#sockets.size / 2;
  }

  /** Breaks all connections; new ones can be made. */
  cut(): void {
    for (const socket of [...this.#sockets]) socket.destroy();
  }

  /** Swallows all that is sent from now on over connections old and new, or no longer. */
  freeze(isFrozen: boolean): void {
    this.#isFrozen = isFrozen;
  }

  [Symbol.dispose](): void {
    this.#isFrozen = false;
    this.#listener.close();
    this.cut();
  }
}
