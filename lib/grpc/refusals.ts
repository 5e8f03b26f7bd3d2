/**
 * Reports what no interceptor sees: refused handshakes, storms of resets, calls of unknown methods.
 */
import type { Http2SecureServer, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { AccessObserver } from "../access/events.ts";
import { isMethod } from "../rbac.ts";
import { UNAUTHENTICATED } from "./call_context.ts";
import { socketOf } from "./internals.ts";
import type { PeerWatch } from "./peers.ts";

/**
 * At most one refused handshake in this time is reported; with it comes the number of the others.
 */
const REPORT_INTERVAL_MS = 1000;

/** The address of a connection's other end. */
type Addressed = Partial<Pick<Socket, "remoteAddress" | "remotePort">>;

/** Connections that were refused before any call. */
export class RefusedConnections {
  readonly #report: AccessObserver;
  readonly #now: () => number;
  #nextReportMs = -Infinity;
  #unreported = 0;

  /** @param now A clock in milliseconds that never goes back. */
  constructor(report: AccessObserver, now: () => number = () => performance.now()) {
    this.#report = report;
    this.#now = now;
  }

  /** Reports the handshakes of a server that fail. */
  watch(server: Pick<Http2SecureServer, "on">): void {
    server.on("tlsClientError", (error: Error, socket: TLSSocket & { _parent?: Socket }) => {
      // The TLS socket has lost its address by now; the socket below it has not.
      this.addHandshake(error.message, socket._parent ?? socket);
    });
  }

  /** Reports a connection that is closed since it resets too many streams. */
  addStorm(socket: Addressed): void {
    this.#report({ kind: "reset-storm", peer: addressOf(socket) });
  }

  /** Reports a refused handshake, or counts it for the next report. */
  addHandshake(reason: string, socket: Addressed): void {
    const nowMs = this.#now();
    if (nowMs < this.#nextReportMs) {
      this.#unreported++;
      return;
    }
    const unreportedBefore = this.#unreported;
    this.#unreported = 0;
    this.#nextReportMs = nowMs + REPORT_INTERVAL_MS;
    this.#report({ kind: "handshake-refused", peer: addressOf(socket), reason, unreportedBefore });
  }
}

function addressOf({ remoteAddress, remotePort }: Addressed): string {
  return `${remoteAddress ?? "unknown"}:${remotePort ?? ""}`;
}

/** Reports calls of methods that do not exist: grpc-js answers these by itself. */
export function reportUnknownMethods(
  server: Pick<Http2SecureServer, "on">,
  { peers, report }: { peers: Pick<PeerWatch, "identify">; report: AccessObserver },
): void {
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = String(headers[":path"] ?? "");
    if (isMethod(path)) return;
    report({
      kind: "call-ended",
      path,
      caller: (peers.identify(stream.session) ?? UNAUTHENTICATED).caller,
      peer: addressOf(socketOf(stream.session) ?? {}),
      job: undefined,
      code: "UNIMPLEMENTED",
      durationMs: undefined,
    });
  });
}
