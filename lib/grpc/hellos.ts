/** Lets the handshake of a connection begin when its client has spoken, and it has its turn. */
import type { Buffer } from "node:buffer";
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { HandshakeTurns } from "./handshake_turns.ts";
import type { RefusedConnections } from "./refusals.ts";

/** Where a ClientHello has its random bytes (RFC 8446, 4.1.2), behind two headers and a version. */
const RANDOM = { begin: 5 + 4 + 2, end: 5 + 4 + 2 + 32 } as const;

/**
 * How long a connection stays whose handshake has failed: TLS closes it at once, and the alert that tells
 * its client why would be lost with it.
 */
const ALERT_MS = 100;

type ConnectionHandler = (socket: Socket) => void;

/**
 * Has those who listen for connections by now, which is TLS, see each of them at its turn; who listens
 * later sees it at once. To be called before anybody else listens.
 *
 * @returns Begins to hold them; to be called when all others listen.
 */
export function holdHandshakes(
  server: Pick<Http2SecureServer, "listeners" | "removeAllListeners" | "on">,
  { turns, refused }: {
    turns: HandshakeTurns;
    refused: Pick<RefusedConnections, "addHandshake">;
  },
): () => void {
  const handlers = server.listeners("connection") as ConnectionHandler[];
  server.removeAllListeners("connection");
  server.on("secureConnection", ({ remoteAddress, _parent }: TLSSocket & { _parent?: Socket }) => {
    if (remoteAddress !== undefined) turns.complete(remoteAddress);
    if (_parent !== undefined) closeAtOnce(_parent);
  });
  return () =>
    server.on("connection", (socket: Socket) => {
      // Nobody else listens for them before TLS does.
      const ignore = () => {};
      socket.on("error", ignore);
      const begin = () => {
        socket.removeListener("error", ignore);
        closeLater(socket);
        for (const handle of handlers) handle.call(server as Http2SecureServer, socket);
      };
      socket.once("readable", () => {
        if (socket.destroyed) return;
        const hello = socket.read() as Buffer | null;
        // It has closed without a word.
        if (hello === null) return void socket.destroy();
        socket.unshift(hello);
        const random = hello.length < RANDOM.end
          ? undefined
          : hello.subarray(RANDOM.begin, RANDOM.end).toString("hex");
        const refusal = turns.ask(socket.remoteAddress ?? "", random, {
          begin,
          isGone: () => socket.destroyed,
        });
        if (refusal === undefined) return;
        refused.addHandshake(refusal, socket);
        socket.destroy();
      });
    });
}

/** Has the socket closed a moment after it is told to. */
function closeLater(socket: Socket): void {
  socket.destroy = (error) => {
    closeAtOnce(socket);
    setTimeout(() => socket.destroy(error), ALERT_MS);
    return socket;
  };
}

/** Takes back {@linkcode closeLater}: the method of the socket's class is there again. */
function closeAtOnce(socket: Socket): void {
  Reflect.deleteProperty(socket, "destroy");
}
