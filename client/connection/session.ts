import { pause, unlessAborted } from "./abort.ts";
import { Connection, type RequestOf, type ResponseOf, type UnaryMethod } from "./connection.ts";
import { ConnectionFailure } from "./connection_failure.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ConnectionLostError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { RetryPolicy } from "./retry_policy.ts";
import type { Terminal } from "../terminal.ts";

/** How long a call is repeated after its connection broke: a server restarts in less. */
const RETRY_FOR_MS = 10_000;

/**
 * How long a first connection that is refused is tried again: the server may be restarting, but more
 * often the address is wrong, and the user should learn that soon.
 */
const FIRST_RETRY_FOR_MS = 6_000;

/** The longest delay between two tries of a first connection. */
const FIRST_MAX_DELAY_MS = 500;

/** How long a call that does not wait for a job may take. */
const ANSWER_TIMEOUT_MS = 60_000;

/** How a connection is checked while a call waits for a job to end. */
export interface LivenessProbe {
  /** Milliseconds between two probes. */
  readonly intervalMs: number;
  /** Milliseconds in which a probe has to be answered. */
  readonly timeoutMs: number;
}

const LIVENESS_PROBE: LivenessProbe = { intervalMs: 15_000, timeoutMs: 10_000 };

/** How a session is made. */
export interface SessionOptions {
  /** See {@linkcode LivenessProbe}. */
  readonly probe?: LivenessProbe;
  /** Whether a first connection that is refused is tried again for a few seconds. */
  readonly retriesFirst?: boolean;
  /** Called once, with `HOST:PORT`, when that begins. */
  readonly onUnreachable?: (server: string) => void;
  /** Called when waiting for a connection or an answer begins; disposed of when it is over. */
  readonly noteWhenSlow?: (server: string) => Disposable;
  /** Opens connections: `Connection.open` unless given. */
  readonly open?: (endpoint: Endpoint) => Promise<Connection>;
}

/** How one call is made. */
export interface CallOptions {
  /**
   * The answer comes when this job has ended, so that the call has no time limit. Instead the server
   * is queried about the job at intervals; a query without an answer means a broken connection.
   */
  readonly probedJobID?: string;
  /** How long a call is repeated after its connection broke, in milliseconds; 0: not at all. */
  readonly retryForMs?: number | undefined;
  /** Called once when a connection broke and the call is tried again. */
  readonly onLost?: (() => void) | undefined;
  /** Cancels the call; what it is aborted with is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a slow answer is not reported, as where the screen has no place for it. */
  readonly isQuiet?: boolean | undefined;
}

/** What a function needs that calls one server and reports on the terminal. */
export interface SessionContext {
  readonly session: Session;
  readonly terminal: Terminal;
}

/** Calls over one connection, which is made when needed and made again after it broke. */
export class Session implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #probe: LivenessProbe;
  readonly #firstRetryForMs: number;
  readonly #onUnreachable: ((server: string) => void) | undefined;
  readonly #noteWhenSlow: ((server: string) => Disposable) | undefined;
  readonly #open: (endpoint: Endpoint) => Promise<Connection>;
  #connection: Promise<Connection> | undefined;
  #wasConnected = false;

  constructor(endpoint: Endpoint, options: SessionOptions = {}) {
    const { probe = LIVENESS_PROBE, retriesFirst = true, open = Connection.open } = options;
    this.#endpoint = endpoint;
    this.#probe = probe;
    this.#firstRetryForMs = retriesFirst ? FIRST_RETRY_FOR_MS : 0;
    this.#onUnreachable = options.onUnreachable;
    this.#noteWhenSlow = options.noteWhenSlow;
    this.#open = open;
  }

  /** The client's certificate and key. */
  get identity(): Endpoint["identity"] {
    return this.#endpoint.identity;
  }

  /** `HOST:PORT` of the server. */
  get server(): string {
    return this.#endpoint.address.text;
  }

  /** The common name of the client's certificate: the user's name on the server. */
  get userName(): string {
    return this.#endpoint.identity.name;
  }

  /**
   * Makes a separate connection for a long stream; the caller closes it.
   *
   * @throws {ConnectionFailure} The server cannot be reached or trusted.
   * @throws The signal's reason.
   */
  async connect(
    { signal, isQuiet = false }: Pick<CallOptions, "signal" | "isQuiet"> = {},
  ): Promise<Connection> {
    using _note = isQuiet ? undefined : this.#noteWhenSlow?.(this.server);
    const policy = new RetryPolicy(this.#firstRetryForMs, { maxDelayMs: FIRST_MAX_DELAY_MS });
    for (;;) {
      try {
        const opening = this.#open(this.#endpoint);
        const connection = await unlessAborted(opening, signal, (late) => late[Symbol.dispose]());
        this.#wasConnected = true;
        return connection;
      } catch (error) {
        if (signal?.aborted || this.#wasConnected || !isTemporary(error)) throw error;
        const isFirstFailure = !policy.hasFailed;
        const delayMs = policy.nextDelayMs();
        if (delayMs === undefined) throw error;
        if (isFirstFailure) this.#onUnreachable?.(this.server);
        await pause(delayMs, signal);
      }
    }
  }

  /**
   * Makes the connection for calls, unless there is one.
   *
   * @throws {ConnectionFailure} The server cannot be reached or trusted.
   * @throws The signal's reason.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    await unlessAborted(this.#connection ??= this.#connectForCalls(), signal);
  }

  /**
   * Whether another try may succeed: a connection broke, or cannot be made again. If there never was
   * a connection it cannot: then the address or the server itself has to be corrected first.
   */
  isRetryable(error: unknown): boolean {
    if (error instanceof ConnectionLostError) return true;
    return error instanceof ConnectionFailure && this.#wasConnected && !error.final;
  }

  /**
   * Calls a method, and repeats the call when the connection broke.
   *
   * @param method The method.
   * @param request What it takes; every try sends the same.
   * @param options See {@linkcode CallOptions}.
   * @returns The answer; an empty one where an earlier try, whose answer was lost, has succeeded.
   * @throws {ClientError} The server's refusal, or the last try's failure.
   * @throws The signal's reason.
   */
  async call<Method extends UnaryMethod>(
    method: Method,
    request: RequestOf<Method>,
    options: CallOptions = {},
  ): Promise<ResponseOf<Method>> {
    const { signal } = options;
    const policy = new RetryPolicy(options.retryForMs ?? RETRY_FOR_MS);
    let isRepeated = false;
    for (;;) {
      signal?.throwIfAborted();
      const connecting = this.#connection ??= this.#connectForCalls(options);
      let calledAtMs = Infinity;
      try {
        const connection = await unlessAborted(connecting, signal);
        calledAtMs = performance.now();
        const { probedJobID: jobID, isQuiet = false } = options;
        if (jobID !== undefined) {
          return await this.#callWithProbe(connection, { method, request, jobID, signal });
        }
        using _note = isQuiet ? undefined : this.#noteWhenSlow?.(this.server);
        return await connection.call(method, request, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
      } catch (error) {
        // Only this call was cancelled: the connection works, and other calls use it.
        signal?.throwIfAborted();
        if (isRepeated && hasEarlierTrySucceeded(error, method)) return {} as ResponseOf<Method>;
        // A refusal came over a working connection, which other calls may be using.
        if (!(error instanceof RefusedCallError)) this.#drop(connecting);
        if (!this.isRetryable(error)) throw error;
        if (performance.now() - calledAtMs > this.#probe.intervalMs) policy.reset();
        const isFirstFailure = !policy.hasFailed;
        const delayMs = policy.nextDelayMs();
        if (delayMs === undefined) throw error;
        if (isFirstFailure) options.onLost?.();
        await pause(delayMs, signal);
        isRepeated = true;
      }
    }
  }

  /** One try, which is cancelled when a probe is not answered in time. */
  async #callWithProbe<Method extends UnaryMethod>(
    connection: Connection,
    { method, request, jobID, signal }: {
      method: Method;
      request: RequestOf<Method>;
      jobID: string;
      signal: AbortSignal | undefined;
    },
  ): Promise<ResponseOf<Method>> {
    const cancelled = new AbortController();
    const cancel = () => cancelled.abort();
    signal?.addEventListener("abort", cancel);
    const { intervalMs, timeoutMs } = this.#probe;
    const timer = setInterval(async () => {
      try {
        await connection.call("Query", { jobID }, { timeoutMs });
      } catch (error) {
        // Any other answer shows that the connection works; its content concerns the probe alone.
        if (error instanceof RefusedCallError && error.code === GrpcStatus.deadlineExceeded) {
          cancel();
        }
      }
    }, intervalMs);
    try {
      return await connection.call(method, request, { signal: cancelled.signal });
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** The connection that all calls share, so that the signal of one call does not end it. */
  #connectForCalls({ isQuiet }: Pick<CallOptions, "isQuiet"> = {}): Promise<Connection> {
    const connecting = this.connect({ isQuiet });
    // Where all calls that wait for it are cancelled, nothing else would drop it.
    connecting.catch(() => this.#drop(connecting));
    return connecting;
  }

  /** Closes a connection and forgets it, unless another call has already done so. */
  #drop(connecting: Promise<Connection>): void {
    if (this.#connection !== connecting) return;
    this.#connection = undefined;
    connecting.then((connection) => connection[Symbol.dispose](), () => {
      // It was never made; the calls that waited for it have the reason.
    });
  }

  /** Closes the connection, if there is one. */
  [Symbol.dispose](): void {
    if (this.#connection !== undefined) this.#drop(this.#connection);
  }
}

function isTemporary(error: unknown): boolean {
  return error instanceof ConnectionFailure && error.isTemporary;
}

/** A repeated Stop or Remove may find that the try whose answer was lost has done it. */
function hasEarlierTrySucceeded(error: unknown, method: UnaryMethod): boolean {
  if (!(error instanceof RefusedCallError)) return false;
  return method === "Stop" && error.code === GrpcStatus.failedPrecondition ||
    method === "Remove" && error.code === GrpcStatus.notFound;
}
