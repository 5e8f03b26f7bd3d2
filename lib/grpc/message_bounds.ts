/**
 * Bounds on the messages of a call that has many: none may be long, or take long to become whole. What its
 * handler keeps of them is the handler's to bound.
 */
import { status } from "@grpc/grpc-js";
import type { ServerHttp2Stream } from "node:http2";
import type { HeldRequest } from "../access/request_bytes.ts";
import { MAX_INPUT_MESSAGE_BYTES } from "./input_queue.ts";
import {
  closeAfterRefusal,
  PREFIX_BYTES,
  REQUEST_TIMEOUT_MS,
  type RequestRefusal,
} from "./request_bounds.ts";

/** The data, and the fields beside it. */
const MAX_MESSAGE_BYTES = MAX_INPUT_MESSAGE_BYTES + 1024;

/**
 * Watches the messages of a call until its stream is closed.
 *
 * @param begin Counts the bytes of one message, from its first one on.
 * @param refuse Ends the call; called once, and then nothing more is read.
 * @returns Ends the watching: the call has ended.
 */
export function boundMessages(
  stream: ServerHttp2Stream,
  { begin, refuse }: {
    readonly begin: () => HeldRequest;
    readonly refuse: (refusal: RequestRefusal) => void;
  },
): () => void {
  const prefix = new DataView(new ArrayBuffer(PREFIX_BYTES));
  let held = begin();
  let prefixBytes = 0;
  let leftBytes = 0;
  const stop = (code: status, details: string) => {
    settle();
    refuse({ code, details });
    closeAfterRefusal(stream);
  };
  const late = () =>
    stop(
      status.DEADLINE_EXCEEDED,
      `a message was not complete within ${REQUEST_TIMEOUT_MS / 1000} seconds; try again`,
    );
  // A sender that never begins holds a call.
  let timer: ReturnType<typeof setTimeout> | undefined = setTimeout(late, REQUEST_TIMEOUT_MS);
  const whole = () => {
    clearTimeout(timer);
    timer = undefined;
    held.end();
    held = begin();
    prefixBytes = leftBytes = 0;
  };
  const onData = (chunk: Uint8Array) => {
    let position = 0;
    let partBytes = 0;
    while (position < chunk.length) {
      const from = position;
      if (prefixBytes < PREFIX_BYTES) {
        prefix.setUint8(prefixBytes++, chunk[position++] ?? 0);
        if (prefixBytes < PREFIX_BYTES) continue;
        leftBytes = prefix.getUint32(1);
        if (leftBytes > MAX_MESSAGE_BYTES) {
          return stop(
            status.RESOURCE_EXHAUSTED,
            `a message of Input has at most ${MAX_MESSAGE_BYTES} bytes; send less`,
          );
        }
      } else {
        const taken = Math.min(leftBytes, chunk.length - position);
        position += taken;
        leftBytes -= taken;
      }
      partBytes += position - from;
      if (prefixBytes === PREFIX_BYTES && leftBytes === 0) {
        whole();
        partBytes = 0;
      }
    }
    if (prefixBytes === 0) return;
    timer ??= setTimeout(late, REQUEST_TIMEOUT_MS);
    const excess = held.add(partBytes);
    if (excess !== undefined) {
      stop(
        status.RESOURCE_EXHAUSTED,
        `${excess}, the most that there is room for; try again later`,
      );
    }
  };
  const settle = () => {
    clearTimeout(timer);
    stream.removeListener("data", onData);
  };
  stream.prependListener("data", onData);
  stream.once("end", () => clearTimeout(timer));
  stream.once("close", () => {
    settle();
    held.end();
  });
  return settle;
}
