/** The gRPC server over mutual TLS 1.3, with the ways round what this runtime lacks. */
import {
  type ChannelOptions,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
} from "@grpc/grpc-js";
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { Buffer } from "node:buffer";
import { jobService, type JobServiceHandlers } from "../../proto/contract.ts";
import type { AuditTrail } from "../access/audit.ts";
import { type CallBounds, CallCounter } from "../access/call_bounds.ts";
import { authorizationInterceptor } from "./authorization.ts";
import { http2ServersOf, tlsOptionsOf, updateTlsOptions } from "./internals.ts";
import { PeerWatch } from "./peers.ts";
import { logUnknownMethods, RefusedHandshakes } from "./refusals.ts";
import { guardResets } from "./resets.ts";
import { containStreams } from "./streams.ts";
import { paceSocket } from "./pacing.ts";
import type { ServerIdentity } from "../tls/server_identity.ts";
import type { Credentials } from "../tls/renewal.ts";

/** TLS 1.2 is on by default here, and no public setting turns it off; each update must say it again. */
const MIN_TLS_VERSION = "TLSv1.3";

/** A connection that has not finished its handshake by then is closed. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Calls that are still open so long after the shutdown's beginning are ended. */
const DRAIN_TIMEOUT_MS = 3000;

/** Connections that are still open so long after that are cut off. */
const CLOSE_TIMEOUT_MS = 1000;

/**
 * A Start's arguments are bounded at 1 MiB, its environment at 0.5 and its input at 2. Keepalive options are left out on purpose: pings fail on
 * this runtime and would close healthy connections.
 */
const OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": 4 * 1024 ** 2,
};

/** Bounds on what clients may take. */
export interface ServerBounds extends CallBounds {
  /** Connections that are open at once, whoever made them; Infinity: no bound. */
  readonly maxConnections: number;
  /** Connections of one certificate name; Infinity: no bound. */
  readonly maxConnectionsPerUser: number;
  /** Connections whose handshake is under way; Infinity: no bound. */
  readonly maxHandshakes: number;
  /** Streams that one connection has open at once. */
  readonly maxStreams: number;
}

/** A server that takes calls. */
export interface ListeningServer {
  /** The port, also where the system chose it. */
  port: number;
  /** Open connections. */
  readonly connectionCount: number;
  /** Shows another certificate to new clients, and believes others, open connections included. */
  renew(credentials: Credentials): void;
  /**
   * Takes no new connections, lets open calls end for a moment, and closes every connection.
   *
   * @param endCalls Called when that moment is over.
   */
  close(endCalls: () => void): Promise<void>;
}

/**
 * Takes calls at an address.
 *
 * @param address `HOST:PORT`; port 0 lets the system choose.
 * @throws {Error} When the address cannot be listened on.
 */
export async function listen(
  address: string,
  options: {
    credentials: Credentials;
    roleOid: string;
    handlers: JobServiceHandlers;
    /** Services besides our own. */
    companions: readonly { addTo(server: Server): void }[];
    bounds: ServerBounds;
    trail: AuditTrail;
  },
): Promise<ListeningServer> {
  const { credentials: { identity, trust }, roleOid, handlers, companions, bounds, trail } =
    options;
  // What grpc-js would print beside an error is in the error, and the log is JSON.
  setLogVerbosity(logVerbosity.NONE);
  const { maxConnectionsPerUser } = bounds;
  const peers = new PeerWatch(trust, { roleOid, maxConnectionsPerUser });
  const calls = new CallCounter(bounds);
  const interceptors = [authorizationInterceptor({ peers, calls, trail })];
  const server = new Server({
    ...OPTIONS,
    "grpc.max_concurrent_streams": bounds.maxStreams,
    interceptors,
  });
  server.addService(jobService, { ...handlers });
  for (const companion of companions) companion.addTo(server);
  const credentials = createCredentials(identity);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(listenError(address, error));
    });
  });
  const connections = { open: 0 };
  const refused = new RefusedHandshakes(trail);
  for (const http2Server of http2ServersOf(server)) {
    boundConnections(http2Server, {
      maxConnections: bounds.maxConnections,
      refused,
      connections,
    });
    guardHandshakes(http2Server, { maxHandshakes: bounds.maxHandshakes, refused });
    refused.watch(http2Server);
    logUnknownMethods(http2Server, { peers, trail });
    containStreams(http2Server);
    http2Server.on("secureConnection", (socket: TLSSocket) => {
      paceSocket(socket);
      guardResets(socket, () => refused.addStorm(socket));
    });
    peers.watch(http2Server);
  }
  return {
    port,
    get connectionCount() {
      return connections.open;
    },
    renew: ({ identity, trust }) => {
      peers.believe(trust);
      const { ca, cert, key } = identity;
      updateTlsOptions(credentials, { ca, cert: [cert], key: [key], minVersion: MIN_TLS_VERSION });
    },
    close: async (endCalls) => {
      await close(server, endCalls);
      peers[Symbol.dispose]();
    },
  };
}

/** grpc-js packs the system's own words into square brackets behind words of its own. */
function listenError(address: string, error: Error): Error {
  const [, detail = error.message] = /\[(.+)\]$/.exec(error.message) ?? [];
  const problem = detail.includes("EADDRINUSE")
    ? "another program uses this port; stop it, or choose another port with --listen"
    : `${detail}; choose an address of this host with --listen`;
  return new Error(`cannot listen on ${address}: ${problem}`, { cause: error });
}

function createCredentials({ ca, cert, key }: ServerIdentity): ServerCredentials {
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
  const credentials = ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
  tlsOptionsOf(credentials).minVersion = MIN_TLS_VERSION;
  return credentials;
}

/** Closes what comes when there are so many already, before a handshake costs anything. */
function boundConnections(
  http2Server: Http2SecureServer,
  { maxConnections, refused, connections }: {
    maxConnections: number;
    refused: RefusedHandshakes;
    connections: { open: number };
  },
): void {
  http2Server.on("connection", (socket: Socket) => {
    connections.open++;
    socket.on("close", () => connections.open--);
    if (connections.open <= maxConnections) return;
    refused.add(
      `${maxConnections} connections are open, the most that --max-connections allows`,
      socket,
    );
    socket.destroy();
  });
}

/** The runtime has no handshake timeout: silent connections would stay for ever. */
function guardHandshakes(
  http2Server: Http2SecureServer,
  { maxHandshakes, refused }: { maxHandshakes: number; refused: RefusedHandshakes },
): void {
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  http2Server.on("connection", (socket: Socket) => {
    if (timers.size >= maxHandshakes) {
      refused.add(
        `${maxHandshakes} handshakes are under way, the most that --max-handshakes allows`,
        socket,
      );
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    const timer = setTimeout(() => {
      refused.add(`it took longer than ${HANDSHAKE_TIMEOUT_MS / 1000} seconds`, socket);
      socket.destroy();
    }, HANDSHAKE_TIMEOUT_MS);
    timers.set(peer, timer);
    socket.on("close", () => {
      clearTimeout(timer);
      if (timers.get(peer) === timer) timers.delete(peer);
    });
  });
  http2Server.on("secureConnection", (socket: TLSSocket) => {
    const peer = peerOf(socket);
    clearTimeout(timers.get(peer));
    timers.delete(peer);
    if (socket.getProtocol() !== "TLSv1.3") socket.destroy();
  });
}

/** What the two sockets of one connection have in common. A port alone is not one host's only. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

async function close(server: Server, endCalls: () => void): Promise<void> {
  const ended = new Promise<boolean>((resolve) => server.tryShutdown(() => resolve(true)));
  if (!await within(DRAIN_TIMEOUT_MS, ended)) {
    endCalls();
    await within(CLOSE_TIMEOUT_MS, ended);
  }
  server.forceShutdown();
}

/** Waits, but not for ever: false when the time is up. */
async function within(timeoutMs: number, ended: Promise<boolean>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([ended, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
