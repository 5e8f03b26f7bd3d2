/**
 * Keeps what goes wrong with one stream from the others. grpc-js answers requests that are none of
 * its own (another content type, a method that is not there) at once, and throws out of the runtime's
 * event where the client has reset the stream by then. And a reset with a code that HTTP/2 does not
 * know is an error of the stream that nobody listens for. Either would end the server.
 */
import type { Http2SecureServer, ServerHttp2Stream } from "node:http2";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

type StreamHandler = (stream: ServerHttp2Stream, ...rest: unknown[]) => void;

/** Puts a net around all that listens for streams by now. */
export function containStreams(server: Http2SecureServer): void {
  const handlers = server.listeners("stream") as StreamHandler[];
  server.removeAllListeners("stream");
  server.on("stream", (stream: ServerHttp2Stream, ...rest: unknown[]) => {
    stream.on("error", () => {
      // Whose call it is hears of its end by "close".
    });
    // The client has taken it back; there is nobody to answer.
    if (stream.destroyed) return;
    for (const handler of handlers) {
      try {
        handler.call(server, stream, ...rest);
      } catch (error) {
        log.warn("a stream was given up", { error: messageOf(error) });
        stream.destroy();
      }
    }
  });
}
