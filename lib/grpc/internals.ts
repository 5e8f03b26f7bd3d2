/**
 * The one place that reaches into private fields of grpc-js, which is pinned for that reason: the
 * runtime gives no backpressure of its own, so the server must see the connection under a call.
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
  if (inner?.stream === undefined) throw new Error("grpc-js has changed: a call without a stream");
  return inner.stream;
}

/**
 * Sends a message of a stream that has its gRPC prefix already; grpc-js would copy it.
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

/** The TLS socket of a session; undefined when the connection is gone. */
export function socketOf(session: Http2Session | undefined): TLSSocket | undefined {
  try {
    const socket = session?.socket as TLSSocket | undefined;
    return socket?.destroyed === true ? undefined : socket;
  } catch {
    // The getter throws after a disconnect.
    return undefined;
  }
}

/** The HTTP/2 servers that a bound grpc-js server consists of. */
export function http2ServersOf(server: Server): Http2SecureServer[] {
  const { http2Servers } = server as unknown as { http2Servers: Map<Http2SecureServer, unknown> };
  return [...http2Servers.keys()];
}

/** The options that each TLS server of these credentials is made with; they may be changed. */
export function tlsOptionsOf(credentials: ServerCredentials): SecureContextOptions {
  return (credentials as unknown as { _getConstructorOptions(): SecureContextOptions })
    ._getConstructorOptions();
}

/** Gives the TLS servers of these credentials other options, for the handshakes to come. */
export function updateTlsOptions(
  credentials: ServerCredentials,
  options: SecureContextOptions,
): void {
  (credentials as unknown as { updateSecureContextOptions(options: SecureContextOptions): void })
    .updateSecureContextOptions(options);
}
