/** Serves the metrics to Prometheus and the health to probes: plain HTTP, on a separate address. */
import { messageOf } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

/** A server that answers `GET /metrics` and `GET /healthz`. */
export interface MetricsServer {
  /** The port, also where the system chose it. */
  readonly port: number;
  close(): Promise<void>;
}

/** What is served. */
export interface Sources {
  readonly metrics: Metrics;
  /** Whether the server takes calls; false from the beginning of a shutdown. */
  isServing(): boolean;
}

/**
 * Listens on an address. There is no authentication: use the loopback or a separate network.
 *
 * @param address `HOST:PORT`.
 * @param sources What is served.
 * @throws {Error} When the address cannot be listened on.
 */
export function serveMetrics(address: string, sources: Sources): MetricsServer {
  const index = address.lastIndexOf(":");
  const hostname = address.slice(0, index).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(index + 1));
  try {
    const server = Deno.serve(
      { hostname, port, onListen: () => {}, onError: () => new Response(null, { status: 500 }) },
      (request) => answer(request, sources),
    );
    return { port: server.addr.port, close: () => server.shutdown() };
  } catch (error) {
    throw new Error(
      `cannot listen on ${address} for metrics: ${messageOf(error)}; choose another address with ` +
        "--metrics-listen",
      { cause: error },
    );
  }
}

async function answer(request: Request, { metrics, isServing }: Sources): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname !== "/metrics" && pathname !== "/healthz") {
    return plain("Not found: this server has /metrics and /healthz.", 404);
  }
  const isHead = request.method === "HEAD";
  if (request.method !== "GET" && !isHead) {
    return plain("Method not allowed: use GET or HEAD.", 405);
  }
  if (pathname === "/healthz") {
    const state = isServing() ? "SERVING" : "NOT_SERVING";
    return plain(isHead ? null : state, isServing() ? 200 : 503);
  }
  const text = isHead ? null : await metrics.text();
  return new Response(text, { headers: { "content-type": metrics.contentType } });
}

function plain(text: string | null, status: number): Response {
  const body = text === null ? null : `${text}\n`;
  return new Response(body, { status, headers: { "content-type": "text/plain" } });
}
