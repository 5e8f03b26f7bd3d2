/** The gRPC server over mutual TLS 1.3, with replacements for what this runtime lacks. */
import {
  type ChannelOptions,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
} from "@grpc/grpc-js";
import type { TLSSocket } from "node:tls";
import { Buffer } from "node:buffer";
import { isInTime } from "../../common/in_time.ts";
import { jobService, type JobServiceHandlers } from "../../proto/contract.ts";
import { type CallBounds, CallCounter } from "../access/call_bounds.ts";
import { RequestBytes } from "../access/request_bytes.ts";
import type { AccessObserver } from "../access/events.ts";
import { AcceptWatch, listeningSocketOf } from "./accepting.ts";
import { authorizationInterceptor } from "./authorization.ts";
import { boundConnections, guardHandshakes } from "./connections.ts";
import { HandshakeTurns } from "./handshake_turns.ts";
import { holdHandshakes } from "./hellos.ts";
import { http2ServersOf, tlsOptionsOf, updateTlsOptions } from "./internals.ts";
import { PeerWatch } from "./peers.ts";
import { RefusedConnections, reportTakenBack, reportUnknownMethods } from "./refusals.ts";
import { MAX_REQUEST_BYTES } from "./request_bounds.ts";
import { guardResets } from "./resets.ts";
import { containStreams } from "./streams.ts";
import { paceSocket } from "./pacing.ts";
import type { ServerIdentity } from "../tls/server_identity.ts";
import type { Credentials } from "../tls/renewal.ts";

/**
 * TLS 1.2 is on by default here; no public option turns it off, and each update must turn it off
 * anew.
 */
const MIN_TLS_VERSION = "TLSv1.3";

/** The time that open calls have to end after the beginning of a shutdown. */
const DRAIN_TIMEOUT_MS = 3000;

/** The time that they have after that to send their status, before connections are closed. */
const CLOSE_TIMEOUT_MS = 1000;

/** There are no keepalive options: pings fail on this runtime and would close healthy connections. */
const OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
};

/** Bounds on what clients may use. */
export interface ServerBounds extends CallBounds {
  /** Open connections of all clients together; Infinity: no bound. */
  readonly maxConnections: number;
  /** Open connections of one certificate name; Infinity: no bound. */
  readonly maxConnectionsPerUser: number;
  /** Connections during their handshake; Infinity: no bound. */
  readonly maxHandshakes: number;
  /** Open streams of one connection. */
  readonly maxStreams: number;
}

/** A server that takes calls. */
export interface ListeningServer {
  /** The port, which the system may have chosen. */
  port: number;
  /** Open connections. */
  readonly connectionCount: number;
  /** Whether connections are accepted at every address that is listened on, as far as is known. */
  readonly isAccepting: boolean;
  /** Uses another certificate for new connections, and another trust for all of them. */
  renew(credentials: Credentials): void;
  /**
   * Takes no new connections, gives open calls some time to end, and closes every connection.
   *
   * @param endCalls Called when that time is over.
   */
  close(endCalls: () => void): Promise<void>;
}

/**
 * Listens on an address, and takes calls.
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
    /** Health and reflection. */
    additionalServices: readonly { addTo(server: Server): void }[];
    bounds: ServerBounds;
    /** Called at the end of each call, and for refused connections. */
    report: AccessObserver;
    /** Called when the server has stopped to accept connections, and when it goes on. */
    onAccepting: (isAccepting: boolean) => void;
  },
): Promise<ListeningServer> {
  const { credentials: { identity, trust }, roleOid, handlers, bounds, report } = options;
  // grpc-js would print what is in its errors anyway, and the log is JSON.
  setLogVerbosity(logVerbosity.NONE);
  const { maxConnectionsPerUser } = bounds;
  const peers = new PeerWatch(trust, { roleOid, maxConnectionsPerUser });
  const calls = new CallCounter(bounds);
  const requests = new RequestBytes();
  const interceptors = [authorizationInterceptor({ peers, calls, requests, report })];
  const server = new Server({
    ...OPTIONS,
    "grpc.max_concurrent_streams": bounds.maxStreams,
    interceptors,
  });
  server.addService(jobService, { ...handlers });
  for (const service of options.additionalServices) service.addTo(server);
  const credentials = createCredentials(identity);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(listenError(address, error));
    });
  });
  const connections = { open: 0 };
  const refused = new RefusedConnections(report);
  const handshakes = new HandshakeTurns();
  const watches: AcceptWatch[] = [];
  const isAccepting = () => watches.every((watch) => watch.isAccepting);
  for (const http2Server of http2ServersOf(server)) {
    const { maxConnections, maxHandshakes } = bounds;
    const hold = holdHandshakes(http2Server, { turns: handshakes, refused });
    boundConnections(http2Server, { maxConnections, refused, connections });
    guardHandshakes(http2Server, { maxHandshakes, refused });
    hold();
    refused.watch(http2Server);
    reportUnknownMethods(http2Server, { peers, report });
    reportTakenBack(http2Server, { peers, report });
    containStreams(http2Server);
    http2Server.on("secureConnection", (socket: TLSSocket) => {
      paceSocket(socket);
      guardResets(socket, () => refused.addStorm(socket));
    });
    peers.watch(http2Server);
    watches.push(
      new AcceptWatch(listeningSocketOf(http2Server), () => options.onAccepting(isAccepting())),
    );
  }
  return {
    port,
    get isAccepting() {
      return isAccepting();
    },
    get connectionCount() {
      return connections.open;
    },
    renew: ({ identity, trust }) => {
      peers.trustOnly(trust);
      const { ca, cert, key } = identity;
      updateTlsOptions(credentials, { ca, cert: [cert], key: [key], minVersion: MIN_TLS_VERSION });
    },
    close: async (endCalls) => {
      for (const watch of watches) watch[Symbol.dispose]();
      await close(server, endCalls);
      handshakes[Symbol.dispose]();
      peers[Symbol.dispose]();
    },
  };
}

/** The system's message stands in square brackets at the end of grpc-js's message. */
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

async function close(server: Server, endCalls: () => void): Promise<void> {
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  if (!await isInTime(ended, DRAIN_TIMEOUT_MS)) {
    endCalls();
    await isInTime(ended, CLOSE_TIMEOUT_MS);
  }
  server.forceShutdown();
}
