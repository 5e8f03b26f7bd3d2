/**
 * An HTTP server for few clients: one request a connection, and none that is half sent stays. That of
 * the runtime (Deno 2.7.14) waits for ever for the rest of a request, and ends for good at the first
 * connection that it cannot accept.
 */
import { closeQuietly, exchange, type HttpHandler } from "./http_exchange.ts";

/** How long to wait after a connection could not be accepted. */
const ACCEPT_INTERVAL_MS = 250;

/** Connections whose request has not come yet; one more takes the place of the oldest. */
const MAX_WAITING = 100;

/** All connections; one more is closed. */
const MAX_OPEN = 500;

/** What is served, and where. */
export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly handle: HttpHandler;
  /** How long a client may take to read an answer; undefined: as long as it likes. */
  readonly answerTimeoutMs?: number;
  /** Ends the answers that are under way, and the server. */
  readonly signal?: AbortSignal;
  /** Called when a connection could not be accepted. */
  readonly onFailure?: (error: unknown) => void;
}

/** Serves HTTP until it is closed. */
export class HttpServer {
  /** The port, also where the system chose it. */
  readonly port: number;
  readonly #options: HttpServerOptions;
  readonly #listener: Deno.TcpListener;
  /** Connections whose request has not come yet, the oldest first. */
  readonly #waiting = new Set<Deno.TcpConn>();
  /** All connections, with the end of their exchange. */
  readonly #open = new Map<Deno.TcpConn, Promise<void>>();
  #isClosed = false;

  /** @throws When the address cannot be listened on. */
  constructor(options: HttpServerOptions) {
    const { hostname, port, signal } = options;
    const listener = Deno.listen({ hostname, port });
    this.#options = options;
    this.#listener = listener;
    this.port = listener.addr.port;
    signal?.addEventListener("abort", () => this.#stop());
    void this.#accept();
  }

  /** Takes no new connections, and waits until open requests have been answered. */
  async close(): Promise<void> {
    this.#stop();
    for (const connection of this.#waiting) closeQuietly(connection);
    await Promise.all(this.#open.values());
  }

  #stop(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#take(await this.#listener.accept());
      } catch (error) {
        if (this.#isClosed) return;
        this.#options.onFailure?.(error);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_INTERVAL_MS));
      }
    }
  }

  #take(connection: Deno.TcpConn): void {
    if (this.#open.size >= MAX_OPEN) return closeQuietly(connection);
    // An answer is written in several parts: the kernel would wait for each to arrive.
    connection.setNoDelay(true);
    this.#waiting.add(connection);
    const [oldest] = this.#waiting;
    if (this.#waiting.size > MAX_WAITING && oldest !== undefined) {
      this.#waiting.delete(oldest);
      closeQuietly(oldest);
    }
    const { handle, answerTimeoutMs, signal } = this.#options;
    const onHead = () => void this.#waiting.delete(connection);
    const ended = exchange(connection, { handle, onHead, answerTimeoutMs, signal }).catch(() => {
      // The client has gone, or took too long: nobody is left who could be told.
    }).finally(() => {
      onHead();
      this.#open.delete(connection);
    });
    this.#open.set(connection, ended);
  }
}
