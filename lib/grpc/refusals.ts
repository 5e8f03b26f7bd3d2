/**
 * Reports what no interceptor sees: refused handshakes, storms of resets, calls of unknown methods,
 * calls that are taken back at once.
 */
import type {
  Http2SecureServer,
  Http2Session,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from "node:http2";
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

interface CallReporting {
  readonly peers: Pick<PeerWatch, "identify">;
  readonly report: AccessObserver;
}

/**
 * Reports calls that grpc-js answers by itself: of methods that do not exist, and requests that are
 * not gRPC.
 */
export function reportUnknownMethods(
  server: Pick<Http2SecureServer, "on">,
  reporting: CallReporting,
): void {
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = String(headers[":path"] ?? "");
    const isGrpc = headers["content-type"]?.startsWith(CONTENT_TYPE) === true;
    if (isGrpc && isMethod(path)) return;
    const code = isGrpc ? "UNIMPLEMENTED" : "HTTP 415";
    reportCall(stream.session, { path, code }, reporting);
  });
}

/**
 * Reports calls that their client has reset before the server could look at them: nothing answers
 * them, and such a stream does not know its session any more.
 */
export function reportTakenBack(
  server: Pick<Http2SecureServer, "on">,
  reporting: CallReporting,
): void {
  server.on("session", (session: ServerHttp2Session) => {
    // Before anything of the server's own can have closed the stream.
    session.prependListener("stream", (stream, headers) => {
      if (!stream.destroyed) return;
      const path = String(headers[":path"] ?? "");
      reportCall(session, { path, code: "CANCELLED" }, reporting);
    });
  });
}

/** Reports a call that no interceptor sees, when it has been answered. */
function reportCall(
  session: Http2Session | undefined,
  call: { readonly path: string; readonly code: string },
  { peers, report }: CallReporting,
): void {
  const beganAtMs = performance.now();
  const { caller } = peers.identify(session) ?? UNAUTHENTICATED;
  const peer = addressOf(socketOf(session) ?? {});
  queueMicrotask(() =>
    report({
      kind: "call-ended",
      ...call,
      caller,
      peer,
      job: undefined,
      details: {},
      hasChanged: false,
      durationMs: performance.now() - beganAtMs,
    })
  );
}
