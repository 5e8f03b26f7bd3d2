/** A network path to a server that can be slow, cut, or silent. */

/** A TCP proxy on the loopback. */
export class NetworkPath implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serverPort: number;
  readonly #bytesPerSecond: number;
  readonly #mayPass: ((count: number) => Promise<void>) | undefined;
  readonly #connections = new Set<{ close(): void; isSilent: boolean }>();

  /**
   * @param bytesPerSecond How fast what the server sends goes through.
   * @param mayPass Waited for before a connection is passed on; the count is 1 for the first.
   */
  constructor(
    serverPort: number,
    bytesPerSecond = Infinity,
    mayPass?: (count: number) => Promise<void>,
  ) {
    this.#serverPort = serverPort;
    this.#bytesPerSecond = bytesPerSecond;
    this.#mayPass = mayPass;
    void this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Closes every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** The connections of now forward nothing more, and stay open. */
  swallow(): void {
    for (const connection of this.#connections) connection.isSilent = true;
  }

  [Symbol.dispose](): void {
    this.cut();
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    let count = 0;
    for await (const near of this.#listener) {
      await this.#mayPass?.(++count);
      let far: Deno.TcpConn;
      try {
        far = await Deno.connect({ hostname: "127.0.0.1", port: this.#serverPort });
      } catch {
        near.close(); // The server is not up again yet.
        continue;
      }
      const connection = {
        isSilent: false,
        close: () => {
          this.#connections.delete(connection);
          for (const end of [near, far]) {
            try {
              end.close();
            } catch {
              // It was closed from the other side.
            }
          }
        },
      };
      this.#connections.add(connection);
      void pump(near, far, connection);
      void pump(far, near, connection, this.#bytesPerSecond);
    }
  }
}

async function pump(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  connection: { close(): void; isSilent: boolean },
  bytesPerSecond = Infinity,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) break;
      if (connection.isSilent) continue;
      for (let sent = 0; sent < count;) sent += await to.write(buffer.subarray(sent, count));
      const pauseMs = count / bytesPerSecond * 1000;
      if (pauseMs > 1) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  } catch {
    // One of the ends was closed, which is what this path is for.
  }
  connection.close();
}
