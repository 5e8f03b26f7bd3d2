/**
 * Bounds on the request of a call while it arrives: the runtime keeps what has come, read or not, so
 * a request that never becomes whole would hold its memory for as long as its connection.
 */
import { status } from "@grpc/grpc-js";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { HeldRequest } from "../access/request_bytes.ts";

/**
 * The largest message is a Start: at most 1 MiB of arguments, 0.5 MiB of environment and 2 MiB of
 * input.
 */
export const MAX_REQUEST_BYTES = 4 * 1024 ** 2;

/** Every other request names a job, or what a list is to find: 32 labels at most. */
const MAX_SMALL_REQUEST_BYTES = 16 * 1024;

const LARGE_METHOD = "/JobService/Start";

/** The largest request needs 1.2 Mbit/s to arrive in it. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** How long a client has to read why its request was refused. */
const REFUSAL_TIMEOUT_MS = 1000;

/** Before each message: whether it is compressed (1 byte), and its length (4). */
export const PREFIX_BYTES = 5;

/** How a request is refused. */
export interface RequestRefusal {
  readonly code: status;
  readonly details: string;
}

/**
 * Watches a request until it is whole, or its stream is closed.
 *
 * @param refuse Ends the call; called once, and then nothing more of the request is read.
 * @returns Ends the watching: the call has ended.
 */
export function boundRequest(
  stream: ServerHttp2Stream,
  { path, held, refuse }: {
    readonly path: string;
    readonly held: HeldRequest;
    readonly refuse: (refusal: RequestRefusal) => void;
  },
): () => void {
  const maxBytes = path === LARGE_METHOD ? MAX_REQUEST_BYTES : MAX_SMALL_REQUEST_BYTES;
  const prefix = new DataView(new ArrayBuffer(PREFIX_BYTES));
  let bytes = 0;
  const stop = (code: status, details: string) => {
    settle();
    refuse({ code, details });
    closeAfterRefusal(stream);
  };
  const onData = (chunk: Uint8Array) => {
    for (let index = 0; bytes + index < PREFIX_BYTES && index < chunk.length; index++) {
      prefix.setUint8(bytes + index, chunk[index] ?? 0);
    }
    bytes += chunk.length;
    const announced = bytes < PREFIX_BYTES ? 0 : prefix.getUint32(1);
    if (Math.max(announced, bytes - PREFIX_BYTES) > maxBytes) {
      const method = path.slice(path.lastIndexOf("/") + 1);
      return stop(
        status.RESOURCE_EXHAUSTED,
        `a request of ${method} has at most ${maxBytes} bytes; send less`,
      );
    }
    const excess = held.add(chunk.length);
    if (excess !== undefined) {
      stop(
        status.RESOURCE_EXHAUSTED,
        `${excess}, the most that there is room for; try again later`,
      );
    }
  };
  const timer = setTimeout(
    () =>
      stop(
        status.DEADLINE_EXCEEDED,
        `the request was not complete within ${REQUEST_TIMEOUT_MS / 1000} seconds; try again`,
      ),
    REQUEST_TIMEOUT_MS,
  );
  const settle = () => {
    clearTimeout(timer);
    stream.removeListener("data", onData);
  };
  // Before grpc-js, which then sees that the call has ended, and keeps nothing.
  stream.prependListener("data", onData);
  stream.once("end", () => clearTimeout(timer));
  stream.once("close", () => {
    settle();
    held.end();
  });
  return settle;
}

/** A client that goes on sending would be read from for as long as it likes. */
export function closeAfterRefusal(stream: ServerHttp2Stream): void {
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), REFUSAL_TIMEOUT_MS);
  stream.once("close", () => clearTimeout(timer));
}
