/** Where Prometheus reads the metrics: plain HTTP, on an address of its own. */
import { messageOf } from "./errors.ts";
import type { Metrics } from "./metrics.ts";

/** A server that answers `GET /metrics`. */
export interface MetricsServer {
  /** The port, also where the system chose it. */
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Answers at an address. There is no authentication: it is for the loopback or a network of its own.
 *
 * @param address `HOST:PORT`.
 * @throws {Error} The address cannot be listened on.
 */
export function serveMetrics(address: string, metrics: Metrics): MetricsServer {
  const index = address.lastIndexOf(":");
  const hostname = address.slice(0, index).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(index + 1));
  try {
    const server = Deno.serve(
      { hostname, port, onListen: () => {}, onError: () => new Response(null, { status: 500 }) },
      (request) => answer(request, metrics),
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

async function answer(request: Request, metrics: Metrics): Promise<Response> {
  if (new URL(request.url).pathname !== "/metrics") return plain("There is /metrics here.", 404);
  if (request.method !== "GET" && request.method !== "HEAD") return plain("Only to be read.", 405);
  const text = request.method === "HEAD" ? null : await metrics.text();
  return new Response(text, { headers: { "content-type": metrics.contentType } });
}

function plain(text: string, status: number): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain" } });
}
