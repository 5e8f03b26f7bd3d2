/**
 * Keeps an error of one stream from ending the server. grpc-js answers requests that are not gRPC
 * or name an unknown method at once, and throws inside the runtime's event where the client has
 * reset the stream by then. A reset with an unknown error code is an "error" event without a
 * listener.
 */
import type { Http2SecureServer, ServerHttp2Stream } from "node:http2";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

type StreamHandler = (stream: ServerHttp2Stream, ...rest: unknown[]) => void;

/** Catches the errors of all handlers that listen for streams by now. */
export function containStreams(
  server: Pick<Http2SecureServer, "listeners" | "removeAllListeners" | "on">,
): void {
  const handlers = server.listeners("stream") as StreamHandler[];
  server.removeAllListeners("stream");
  server.on("stream", (stream: ServerHttp2Stream, ...rest: unknown[]) => {
    stream.on("error", () => {
      // The call's own handler learns of the end by "close".
    });
    // The client has reset it: there is no one to answer, and it is reported elsewhere.
    if (stream.destroyed) return;
    for (const handler of handlers) {
      try {
        handler.call(server as Http2SecureServer, stream, ...rest);
      } catch (error) {
        log.warn("a stream failed and is closed", { error: messageOf(error) });
        stream.destroy();
      }
    }
  });
}
