/** An HTTP server that goes on where the runtime's would end. */

/** How long to wait before the address is listened on again. */
const LISTEN_INTERVAL_MS = 250;

/** What is served, and where. */
export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly handle: (request: Request) => Response | Promise<Response>;
  /** Ends the answers that are under way, and the server. */
  readonly signal?: AbortSignal;
  /** Called when a connection could not be accepted. */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Serves HTTP until it is closed. The runtime's own server ends for good at the first connection that
 * it cannot accept, because no file descriptor is left, say (Deno 2.7.14): then the same port is
 * listened on again.
 */
export class HttpServer {
  /** The port, also where the system chose it. */
  readonly port: number;
  readonly #options: HttpServerOptions;
  readonly #ended: Promise<void>;
  #server: Deno.HttpServer<Deno.NetAddr>;
  #isClosing = false;

  /** @throws When the address cannot be listened on. */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = listen(options);
    this.port = this.#server.addr.port;
    this.#ended = this.#goOn();
  }

  /** Takes no new connections, and waits until open requests have been answered. */
  async close(): Promise<void> {
    this.#isClosing = true;
    // One that has ended by itself cannot be shut down.
    await this.#server.shutdown().catch(() => {});
    await this.#ended;
  }

  get #isClosed(): boolean {
    return this.#isClosing || this.#options.signal?.aborted === true;
  }

  async #goOn(): Promise<void> {
    while (!this.#isClosed) {
      try {
        return await this.#server.finished;
      } catch (error) {
        if (!this.#isClosed) this.#options.onFailure?.(error);
      }
      await this.#listenAgain();
    }
  }

  async #listenAgain(): Promise<void> {
    while (!this.#isClosed) {
      await new Promise((resolve) => setTimeout(resolve, LISTEN_INTERVAL_MS));
      if (this.#isClosed) return;
      try {
        this.#server = listen({ ...this.#options, port: this.port });
        return;
      } catch {
        // The reason for the end is still there: the next time.
      }
    }
  }
}

function listen(
  { hostname, port, handle, signal }: HttpServerOptions,
): Deno.HttpServer<Deno.NetAddr> {
  const options: Deno.ServeTcpOptions = {
    hostname,
    port,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  };
  return Deno.serve(signal === undefined ? options : { ...options, signal }, handle);
}
