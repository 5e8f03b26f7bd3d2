/** Says in the log who was turned away before any call began: at the handshake, or by no such method. */
import type { Http2SecureServer, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { AuditTrail } from "../access/audit.ts";
import type { PeerWatch } from "./peers.ts";
import { isMethod } from "../rbac.ts";

/** Whoever knocks without end shall not fill the log: one line in so long, with the number of others. */
const HANDSHAKE_LINE_INTERVAL_MS = 1000;

/** What a caller names may be as long as it likes. */
const MAX_METHOD_CHARACTERS = 100;

/** Handshakes that came to nothing. */
export class RefusedHandshakes {
  readonly #trail: AuditTrail;
  #nextLineMs = -Infinity;
  #withoutLine = 0;

  constructor(trail: AuditTrail) {
    this.#trail = trail;
  }

  /** Watches a server's handshakes. */
  watch(server: Http2SecureServer): void {
    server.on("tlsClientError", (error: Error, socket: TLSSocket & { _parent?: Socket }) => {
      // The TLS socket has lost its address by now; the one below it has not.
      this.add(error.message, socket._parent ?? socket);
    });
  }

  /** Notes a connection that is closed since it resets its streams too often. */
  addStorm(socket: Socket): void {
    this.#trail.add("a connection was closed", {
      peer: addressOf(socket),
      reason: "it reset its streams in a storm",
    });
  }

  /** Notes one. */
  add(reason: string, socket: Socket): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextLineMs) {
      this.#withoutLine++;
      return;
    }
    this.#trail.add("a handshake was refused", {
      peer: addressOf(socket),
      reason,
      ...(this.#withoutLine > 0 && { othersBefore: this.#withoutLine }),
    });
    this.#withoutLine = 0;
    this.#nextLineMs = nowMs + HANDSHAKE_LINE_INTERVAL_MS;
  }
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? "unknown"}:${remotePort ?? ""}`;
}

/**
 * Writes the line of the log that every call has for those that no interceptor sees, since no such
 * method is there: grpc-js answers them by itself.
 */
export function logUnknownMethods(
  server: Http2SecureServer,
  { peers, trail }: { peers: PeerWatch; trail: AuditTrail },
): void {
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const method = String(headers[":path"] ?? "");
    if (isMethod(method)) return;
    const caller = peers.identify(stream.session)?.caller;
    trail.add("call", {
      method: method.slice(0, MAX_METHOD_CHARACTERS),
      who: caller?.name ?? "",
      serial: caller?.serial ?? "",
      roles: caller?.roles.join(",") ?? "",
      code: "UNIMPLEMENTED",
    });
  });
}
