/**
 * Bounds on connections before their first call: how many there are, and how long a handshake
 * takes.
 */
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { RefusedConnections } from "./refusals.ts";

/** A connection whose handshake takes longer is closed. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** "connection" is a TCP connection, "secureConnection" the same after its handshake. */
type ConnectionEvents = Pick<Http2SecureServer, "on">;

type Refusals = Pick<RefusedConnections, "addHandshake">;

/** Closes connections above the bound, before they cost a handshake. */
export function boundConnections(
  http2Server: ConnectionEvents,
  { maxConnections, refused, connections }: {
    maxConnections: number;
    refused: Refusals;
    /** Counts the open connections. */
    connections: { open: number };
  },
): void {
  http2Server.on("connection", (socket: Socket) => {
    connections.open++;
    socket.on("close", () => connections.open--);
    if (connections.open <= maxConnections) return;
    refused.addHandshake(
      `${maxConnections} connections are open, the most that --max-connections allows`,
      socket,
    );
    socket.destroy();
  });
}

/**
 * Closes connections whose handshake takes too long, or that are too many, and those that do not
 * use TLS 1.3. The runtime has no handshake timeout: silent connections would stay open for ever.
 */
export function guardHandshakes(
  http2Server: ConnectionEvents,
  { maxHandshakes, refused }: { maxHandshakes: number; refused: Refusals },
): void {
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  http2Server.on("connection", (socket: Socket) => {
    if (timers.size >= maxHandshakes) {
      refused.addHandshake(
        `${maxHandshakes} handshakes are in progress, the most that --max-handshakes allows`,
        socket,
      );
      socket.destroy();
      return;
    }
    const endpoint = endpointOf(socket);
    const timer = setTimeout(() => {
      refused.addHandshake(`it took longer than ${HANDSHAKE_TIMEOUT_MS / 1000} seconds`, socket);
      socket.destroy();
    }, HANDSHAKE_TIMEOUT_MS);
    timers.set(endpoint, timer);
    socket.on("close", () => {
      clearTimeout(timer);
      if (timers.get(endpoint) === timer) timers.delete(endpoint);
    });
  });
  http2Server.on("secureConnection", (socket: TLSSocket) => {
    const endpoint = endpointOf(socket);
    clearTimeout(timers.get(endpoint));
    timers.delete(endpoint);
    if (socket.getProtocol() !== "TLSv1.3") socket.destroy();
  });
}

/** Identifies a connection: its TCP socket and its TLS socket have the same address and port. */
function endpointOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
