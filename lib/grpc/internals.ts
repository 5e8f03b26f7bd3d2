/**
 * The only file that uses private fields of grpc-js, which is pinned for that reason: the runtime
 * has no backpressure, so the server must see the connection under a call.
 */
import {
  Metadata,
  type Server,
  type ServerCredentials,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type { Http2SecureServer, Http2Session, ServerHttp2Stream } from "node:http2";
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
 * Sends a message that has its gRPC prefix already: grpc-js would copy it. Does nothing when the
 * stream is closed.
 *
 * @param call The handler's call.
 */
export function writeFramed<Request, Response>(
  call: ServerWritableStream<Request, Response>,
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
