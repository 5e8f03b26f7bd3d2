/** Serves the metrics to Prometheus and the health to probes: plain HTTP, on a separate address. */
import { HttpServer } from "../../common/http_server.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { Metrics } from "./metrics.ts";

/** At most one failure in this time is logged: there are several a second while it lasts. */
const LOG_INTERVAL_MS = 10_000;

/** An answer is some ten kilobytes. */
const ANSWER_TIMEOUT_MS = 30_000;

/** What is served. */
export interface Sources {
  readonly metrics: Metrics;
  /**
   * Whether the server takes calls: false from the beginning of a shutdown, and while it accepts no
   * connections.
   */
  isServing(): boolean;
}

/**
 * Answers `GET /metrics` and `GET /healthz` at an address. There is no authentication: use the loopback or a separate network.
 *
 * @param address `HOST:PORT`.
 * @param sources What is served.
 * @throws {Error} When the address cannot be listened on.
 */
export function serveMetrics(address: string, sources: Sources): HttpServer {
  const index = address.lastIndexOf(":");
  const hostname = address.slice(0, index).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(index + 1));
  try {
    return new HttpServer({
      hostname,
      port,
      handle: (request) => answer(request, sources),
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      onFailure: logFailures(),
    });
  } catch (error) {
    throw new Error(
      `cannot listen on ${address} for metrics: ${messageOf(error)}; choose another address with ` +
        "--metrics-listen",
      { cause: error },
    );
  }
}

function logFailures(): (error: unknown) => void {
  let nextMs = -Infinity;
  return (error) => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + LOG_INTERVAL_MS;
    log.warn("a connection for metrics could not be accepted: listening again", {
      error: messageOf(error),
    });
  };
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
