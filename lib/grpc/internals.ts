/**
 * The only file that uses private fields of grpc-js, which is pinned for that reason, and of the
 * runtime's TCP servers: the runtime has no backpressure, so the server must see the connection under
 * a call; and it gives up a listening socket at the first error of accept(2).
 */
import { Metadata, type Server, type ServerCredentials, status } from "@grpc/grpc-js";
import type { Http2SecureServer, Http2Session, ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import type { SecureContextOptions, TLSSocket } from "node:tls";

interface InterceptingCall {
  stream?: ServerHttp2Stream;
  nextCall?: InterceptingCall;
}

/** The HTTP/2 stream of a call, given as a handler's call or as an interceptor's. */
export function http2StreamOf(call: unknown): ServerHttp2Stream {
  let inner: InterceptingCall | undefined = (call as { call?: InterceptingCall }).call ??
    (call as InterceptingCall);
  while (inner !== undefined && inner.stream === undefined) inner = inner.nextCall;
  if (inner?.stream === undefined) throw new Error("grpc-js has changed: a call has no stream");
  return inner.stream;
}

/**
 * Calls back with each status that a call is given, before it is sent. grpc-js ends some calls by
 * itself, below every interceptor: those whose request cannot be read, or whose deadline is over.
 *
 * @param call The interceptor's call.
 */
export function watchStatus(call: unknown, onStatus: (code: number) => void): void {
  let inner = call as InterceptingCall & { sendStatus(outcome: { code?: number }): void };
  while (inner.nextCall !== undefined) inner = inner.nextCall as typeof inner;
  const send = inner.sendStatus;
  inner.sendStatus = function (outcome) {
    onStatus(outcome.code ?? status.UNKNOWN);
    send.call(this, outcome);
  };
}

/**
 * Sends a message that has its gRPC prefix already: grpc-js would copy it. Does nothing when the
 * stream is closed.
 *
 * @param call The handler's call.
 */
export function writeFramed(
  call: { sendMetadata(metadata: Metadata): void },
  frame: Uint8Array,
): void {
  const stream = http2StreamOf(call);
  if (stream.destroyed || stream.closed) return;
  if (!stream.headersSent) call.sendMetadata(new Metadata());
  stream.write(frame);
}

/** The TLS socket of a session; undefined after a disconnect. */
export function socketOf(session: Http2Session | undefined): TLSSocket | undefined {
  try {
    const socket = session?.socket as TLSSocket | undefined;
    return socket?.destroyed === true ? undefined : socket;
  } catch {
    // The getter throws after a disconnect.
    return undefined;
  }
}

/** The HTTP/2 servers of a grpc-js server that is bound to an address. */
export function http2ServersOf(server: Server): Http2SecureServer[] {
  const { http2Servers } = server as unknown as { http2Servers: Map<Http2SecureServer, unknown> };
  return [...http2Servers.keys()];
}

/**
 * The options for TLS servers with these credentials; changes take effect until the server is
 * bound.
 */
export function tlsOptionsOf(credentials: ServerCredentials): SecureContextOptions {
  return (credentials as unknown as { _getConstructorOptions(): SecureContextOptions })
    ._getConstructorOptions();
}

/** Changes the options of TLS servers with these credentials, for new connections. */
export function updateTlsOptions(
  credentials: ServerCredentials,
  options: SecureContextOptions,
): void {
  (credentials as unknown as { updateSecureContextOptions(options: SecureContextOptions): void })
    .updateSecureContextOptions(options);
}

/** The runtime's handle of a TCP socket. Methods return 0 or a negative number of errno(3). */
interface TcpHandle {
  readonly constructor: new (type: number) => TcpHandle;
  bind(address: string, port: number): number;
  bind6(address: string, port: number, flags: number): number;
  connect(request: { oncomplete(status: number): void }, address: string, port: number): number;
  getsockname(out: Partial<AddressInfo>): number;
  close(): void;
}

/** A handle of this type is a connection, not a server. */
const CONNECTION_TYPE = 0;

/** TCP knows no broadcast: connect(2) fails at once, and nothing is sent. */
const UNREACHABLE = { address: "255.255.255.255", port: 9 } as const;

function handleOf(server: Http2SecureServer): TcpHandle | null {
  return (server as unknown as { _handle: TcpHandle | null })._handle;
}

/**
 * Has the runtime accept connections again. After an error of accept(2) it never looks at the
 * listening socket any more, and tells nobody (Deno 2.7.14; 2.9 does the same). It looks at everything
 * that a handle has to do when one thing ends, so a connect that fails at once makes it accept.
 *
 * @returns The number of errno(3) with which the connect failed, which is that of socket(2) where no
 * descriptor is left; undefined when the server is closed.
 */
export function acceptAgain(server: Http2SecureServer): Promise<number | undefined> {
  return connect(handleOf(server), UNREACHABLE);
}

/** A connection of the server to itself. */
export interface OwnConnection extends Disposable {
  /** Where it comes from: known before it is made. */
  readonly port: number;
  /** Connects: 0 or a number of errno(3); undefined when the server is closed. */
  open(): Promise<number | undefined>;
}

/**
 * Makes a connection to the address that a server listens on.
 *
 * @returns undefined when the server is closed, a number of errno(3) when there can be none.
 */
export function connectToItself(server: Http2SecureServer): OwnConnection | number | undefined {
  const listening = handleOf(server);
  const bound = server.address();
  if (listening === null || bound === null || typeof bound === "string") return undefined;
  const isIpv6 = bound.family === "IPv6";
  const address = bound.address === "0.0.0.0" || bound.address === "::"
    ? isIpv6 ? "::1" : "127.0.0.1"
    : bound.address;
  const handle = new listening.constructor(CONNECTION_TYPE);
  const own: Partial<AddressInfo> = {};
  const error = (isIpv6 ? handle.bind6(address, 0, 0) : handle.bind(address, 0)) ||
    handle.getsockname(own);
  if (error !== 0 || own.port === undefined) {
    handle.close();
    return Math.abs(error);
  }
  return {
    port: own.port,
    open: () => connect(handle, { address, port: bound.port }),
    [Symbol.dispose]: () => handle.close(),
  };
}

function connect(
  handle: TcpHandle | null,
  { address, port }: { address: string; port: number },
): Promise<number | undefined> {
  if (handle === null) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const request = { oncomplete: (status: number) => resolve(Math.abs(status)) };
    const error = handle.connect(request, address, port);
    if (error !== 0) resolve(Math.abs(error));
  });
}
