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
import { holderOf, type PeerWatch } from "./peers.ts";

/** The address of a connection's other end. */
type Addressed = Partial<Pick<Socket, "remoteAddress" | "remotePort">>;

/** Reports connections that are refused before any call. */
export class RefusedConnections {
  readonly #report: AccessObserver;

  constructor(report: AccessObserver) {
    this.#report = report;
  }

  /** Reports the handshakes of a server that fail. */
  watch(server: Pick<Http2SecureServer, "on">): void {
    server.on("tlsClientError", (error: Error, socket: TLSSocket & { _parent?: Socket }) => {
      // The TLS socket has lost its address by now; the socket below it has not.
      this.addHandshake(error.message, socket._parent ?? socket);
    });
  }

  /** Reports a connection that is closed since it resets too many streams. */
  addStorm(socket: Addressed & Pick<TLSSocket, "authorized" | "getPeerCertificate">): void {
    const { name = "", serial = "" } = holderOf(socket) ?? {};
    this.#report({ kind: "reset-storm", peer: addressOf(socket), holder: { name, serial } });
  }

  /** Reports a refused handshake. */
  addHandshake(reason: string, socket: Addressed): void {
    this.#report({ kind: "handshake-refused", peer: addressOf(socket), reason });
  }
}

function addressOf({ remoteAddress, remotePort }: Addressed): string {
  return `${remoteAddress ?? "unknown"}:${remotePort ?? ""}`;
}

/** Content types that grpc-js takes begin so; it answers others by the HTTP status 415. */
const CONTENT_TYPE = "application/grpc";

/**
 * Reports calls that grpc-js answers by itself: of methods that do not exist, and requests that are
 * not gRPC.
 */
export function reportUnknownMethods(
  server: Pick<Http2SecureServer, "on">,
  { peers, report }: { peers: Pick<PeerWatch, "identify">; report: AccessObserver },
): void {
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = String(headers[":path"] ?? "");
    const isGrpc = headers["content-type"]?.startsWith(CONTENT_TYPE) === true;
    if (isGrpc && isMethod(path)) return;
    const beganAtMs = performance.now();
    const { caller } = peers.identify(stream.session) ?? UNAUTHENTICATED;
    const peer = addressOf(socketOf(stream.session) ?? {});
    // When grpc-js has answered.
    queueMicrotask(() =>
      report({
        kind: "call-ended",
        path,
        caller,
        peer,
        job: undefined,
        details: {},
        hasChanged: false,
        code: isGrpc ? "UNIMPLEMENTED" : "HTTP 415",
        durationMs: performance.now() - beganAtMs,
      })
    );
  });
}
