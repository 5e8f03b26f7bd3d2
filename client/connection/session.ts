import { unlessAborted } from "./abort.ts";
import { Connection, type RequestOf, type ResponseOf, type UnaryMethod } from "./connection.ts";
import { ConnectionFailure } from "./diagnosis.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ConnectionLostError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { Patience, pause } from "./patience.ts";
import type { Terminal } from "../terminal.ts";

/** How long a lost call is tried again: a restarting server is back well before. */
const RETRY_FOR_MS = 10_000;

/**
 * How long a first connection that nobody takes is tried again: the server may be in the middle of a
 * restart, but more often the address is wrong, and whoever mistyped it should hear of it soon.
 */
const FIRST_RETRY_FOR_MS = 6_000;

/** A server that has just come back is found within that. */
const FIRST_LONGEST_PAUSE_MS = 500;

/** How long a call that does not wait for a job may take. */
const ANSWER_TIMEOUT_MS = 60_000;

/** How a waiting call's connection is asked whether it still lives. */
export interface Pulse {
  /** Milliseconds between two questions. */
  readonly intervalMs: number;
  /** Milliseconds in which one has to be answered. */
  readonly timeoutMs: number;
}

const PULSE: Pulse = { intervalMs: 15_000, timeoutMs: 10_000 };

/** How a session is made. */
export interface SessionOptions {
  /** See {@linkcode Pulse}. */
  readonly pulse?: Pulse;
  /** Whether a first connection that nobody takes is tried again for a few seconds. */
  readonly isPatient?: boolean;
  /** Called once, with `HOST:PORT`, when that begins. */
  readonly onAbsent?: (server: string) => void;
  /** Called when a connection or an answer begins to be waited for; disposed of when it is there. */
  readonly noteWhenSlow?: (server: string) => Disposable;
}

/** How one call is made. */
export interface CallOptions {
  /**
   * The answer comes when this job has ended, so it has no time limit; instead the server is asked
   * about the job now and then, and one that is silent counts as a broken connection.
   */
  readonly pulseOf?: string;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs?: number | undefined;
  /** Called once when a connection broke that is tried again. */
  readonly onLost?: (() => void) | undefined;
  /** Gives the call up; what it is aborted with is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Whether nothing shall be said of a slow answer: there is no place for it on the screen. */
  readonly isQuiet?: boolean | undefined;
}

/** What a function needs that asks one server and says what it finds. */
export interface SessionContext {
  readonly session: Session;
  readonly terminal: Terminal;
}

/** Calls over one connection, which is made when needed and made anew when it broke. */
export class Session implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #pulse: Pulse;
  readonly #firstRetryForMs: number;
  readonly #onAbsent: ((server: string) => void) | undefined;
  readonly #noteWhenSlow: ((server: string) => Disposable) | undefined;
  #connection: Promise<Connection> | undefined;
  #wasConnected = false;

  constructor(endpoint: Endpoint, options: SessionOptions = {}) {
    const { pulse = PULSE, isPatient = true, onAbsent, noteWhenSlow } = options;
    this.#endpoint = endpoint;
    this.#pulse = pulse;
    this.#firstRetryForMs = isPatient ? FIRST_RETRY_FOR_MS : 0;
    this.#onAbsent = onAbsent;
    this.#noteWhenSlow = noteWhenSlow;
  }

  /** Who we are. */
  get identity(): Endpoint["identity"] {
    return this.#endpoint.identity;
  }

  /** `HOST:PORT` of the server. */
  get server(): string {
    return this.#endpoint.address.text;
  }

  /** Who we are to the server: the common name of our certificate. */
  get userName(): string {
    return this.#endpoint.identity.name;
  }

  /**
   * Makes a connection of its own for a long stream; the caller closes it.
   *
   * @throws {ConnectionFailure} There is no way to the server.
   * @throws The signal's reason.
   */
  async connect(
    { signal, isQuiet = false }: Pick<CallOptions, "signal" | "isQuiet"> = {},
  ): Promise<Connection> {
    using _note = isQuiet ? undefined : this.#noteWhenSlow?.(this.server);
    const patience = new Patience(this.#firstRetryForMs, {
      longestPauseMs: FIRST_LONGEST_PAUSE_MS,
    });
    for (;;) {
      try {
        const opening = Connection.open(this.#endpoint);
        const connection = await unlessAborted(opening, signal, (late) => late[Symbol.dispose]());
        this.#wasConnected = true;
        return connection;
      } catch (error) {
        if (signal?.aborted || this.#wasConnected || !isPassing(error)) throw error;
        const isNewTrouble = !patience.isTried;
        const pauseMs = patience.nextPauseMs();
        if (pauseMs === undefined) throw error;
        if (isNewTrouble) this.#onAbsent?.(this.#endpoint.address.text);
        await pause(pauseMs, signal);
      }
    }
  }

  /**
   * Makes the connection for calls, where there is none.
   *
   * @throws {ConnectionFailure} There is no way to the server.
   * @throws The signal's reason.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    await unlessAborted(this.#connection ??= this.#connectForCalls(), signal);
  }

  /**
   * Whether another try may help: a connection broke, or cannot be made again. One that could never
   * be made is given up: it is the address or the server's absence that has to be mended.
   */
  isWorthRetrying(error: unknown): boolean {
    if (error instanceof ConnectionLostError) return true;
    return error instanceof ConnectionFailure && this.#wasConnected && !error.final;
  }

  /**
   * Calls a method, and calls it again when the connection broke.
   *
   * @param method The method.
   * @param request What it takes; every try sends the same.
   * @param options See {@linkcode CallOptions}.
   * @returns The answer; an empty one where an earlier try, whose answer was lost, had done it.
   * @throws {ClientError} The server's refusal, or the last try's failure.
   * @throws The signal's reason.
   */
  async call<Method extends UnaryMethod>(
    method: Method,
    request: RequestOf<Method>,
    options: CallOptions = {},
  ): Promise<ResponseOf<Method>> {
    const { signal } = options;
    const patience = new Patience(options.retryForMs ?? RETRY_FOR_MS);
    let isRepeated = false;
    for (;;) {
      signal?.throwIfAborted();
      const connecting = this.#connection ??= this.#connectForCalls(options);
      let calledAtMs = Infinity;
      try {
        const connection = await unlessAborted(connecting, signal);
        calledAtMs = performance.now();
        const { pulseOf: jobID, isQuiet = false } = options;
        if (jobID !== undefined) {
          return await this.#callWithPulse(connection, { method, request, jobID, signal });
        }
        using _note = isQuiet ? undefined : this.#noteWhenSlow?.(this.server);
        return await connection.call(method, request, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
      } catch (error) {
        // The connection is whole: it is this one call that nobody wants any more.
        signal?.throwIfAborted();
        if (isRepeated && isSettledByEarlierTry(error, method)) return {} as ResponseOf<Method>;
        // The connection of a refused call is whole, and other calls may wait on it.
        if (!(error instanceof RefusedCallError)) this.#drop(connecting);
        if (!this.isWorthRetrying(error)) throw error;
        if (performance.now() - calledAtMs > this.#pulse.intervalMs) patience.reset();
        const isNewTrouble = !patience.isTried;
        const pauseMs = patience.nextPauseMs();
        if (pauseMs === undefined) throw error;
        if (isNewTrouble) options.onLost?.();
        await pause(pauseMs, signal);
        isRepeated = true;
      }
    }
  }

  /** One try that is given up when the server does not even answer a question any more. */
  async #callWithPulse<Method extends UnaryMethod>(
    connection: Connection,
    { method, request, jobID, signal }: {
      method: Method;
      request: RequestOf<Method>;
      jobID: string;
      signal: AbortSignal | undefined;
    },
  ): Promise<ResponseOf<Method>> {
    const dead = new AbortController();
    const giveUp = () => dead.abort();
    signal?.addEventListener("abort", giveUp);
    const { intervalMs, timeoutMs } = this.#pulse;
    const timer = setInterval(async () => {
      try {
        await connection.call("Query", { jobID }, { timeoutMs });
      } catch (error) {
        // Any other answer is a sign of life, and what it says concerns the question alone.
        if (error instanceof RefusedCallError && error.code === GrpcStatus.deadlineExceeded) {
          dead.abort();
        }
      }
    }, intervalMs);
    try {
      return await connection.call(method, request, { signal: dead.signal });
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** The connection that all calls share, so that no single one's signal ends it. */
  #connectForCalls({ isQuiet }: Pick<CallOptions, "isQuiet"> = {}): Promise<Connection> {
    const connecting = this.connect({ isQuiet });
    // Where the calls that wait for it are given up, nobody else would leave it behind.
    connecting.catch(() => this.#drop(connecting));
    return connecting;
  }

  /** Leaves a connection behind, unless another call has already done so. */
  #drop(connecting: Promise<Connection>): void {
    if (this.#connection !== connecting) return;
    this.#connection = undefined;
    connecting.then((connection) => connection[Symbol.dispose](), () => {
      // It was never made: whoever waited for it has been told why.
    });
  }

  /** Ends the connection, if there is one. */
  [Symbol.dispose](): void {
    if (this.#connection !== undefined) this.#drop(this.#connection);
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectionFailure && error.isPassing;
}

/** A repeated Stop or Remove may find that the try whose answer was lost has done it. */
function isSettledByEarlierTry(error: unknown, method: UnaryMethod): boolean {
  if (!(error instanceof RefusedCallError)) return false;
  return method === "Stop" && error.code === GrpcStatus.failedPrecondition ||
    method === "Remove" && error.code === GrpcStatus.notFound;
}
