/** A job's output, sent as it comes, at the pace of the reader's connection. */
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { StreamRequest__Output, StreamResponse } from "../../proto/contract.ts";
import { type Chunk, isTail, type OutputLog } from "../logs.ts";
import { http2StreamOf, writeFramed } from "./internals.ts";
import { frameOutput, withHeadroom } from "./output_message.ts";
import { StreamPace } from "./pacing.ts";
import { toReadRange } from "./translate.ts";
import { incompleteUtf8Tail } from "./utf8.ts";

const NOTHING = new Uint8Array();

/** What all streams of a server come to. */
export interface StreamCounts {
  /** Streams that are open now. */
  open: number;
  /** Bytes of output that were sent since the server's start. */
  bytes: number;
}

/** Sends output as it comes, at the pace of the reader's connection. */
export async function sendOutput(
  call: ServerWritableStream<StreamRequest__Output, StreamResponse>,
  output: OutputLog,
  { signal, streams }: { signal: AbortSignal; streams: StreamCounts },
): Promise<void> {
  using pace = new StreamPace(http2StreamOf(call));
  const range = toReadRange(call.request);
  // Of a tail nobody knows it before the log says where it begins.
  let nextOffset = range.offset ?? (isTail(range) ? undefined : 0);
  let held: Uint8Array = NOTHING;
  const send = (output: Uint8Array, offset: number, gapBytes: number) => {
    nextOffset = offset + output.length;
    streams.bytes += output.length;
    writeFramed(call, frameOutput({ output, offset, gapBytes }));
  };
  using _heartbeat = heartbeat(call.request.heartbeatSeconds, () => {
    // What waits for a slow reader is no silence, and must not grow.
    if (nextOffset === undefined || signal.aborted || !pace.hasRoom) return;
    send(withHeadroom(NOTHING), nextOffset, 0);
  });
  for await (const { offset, bytes, gapBytes } of readAhead(output.read(range, signal))) {
    if (gapBytes > 0 && held.length > 0) {
      send(withHeadroom(held), offset - gapBytes - held.length, 0);
      held = NOTHING;
    }
    const begin = offset - held.length;
    const whole = withBefore(held, bytes);
    const cut = whole.length - incompleteUtf8Tail(whole);
    const isNews = cut > 0 || gapBytes > 0 || nextOffset === undefined;
    if (isNews) send(whole.subarray(0, cut), begin, gapBytes);
    else nextOffset = begin;
    held = whole.slice(cut);
    await pace.ready(signal);
    if (signal.aborted) return;
    // All of it has gone to the socket. The collector would come for it much later.
    whole.buffer.transfer(0);
  }
  if (held.length > 0 && nextOffset !== undefined && !signal.aborted) {
    send(withHeadroom(held), nextOffset, 0);
  }
}

/** Reads the next chunk while this one is being sent, and no more than that. */
async function* readAhead(chunks: AsyncGenerator<Chunk>): AsyncGenerator<Chunk> {
  let next = chunks.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done === true) return;
      next = chunks.next();
      yield value;
    }
  } finally {
    // Whoever leaves early aborts the reading next, and what comes of it until then is of no interest.
    next.catch(() => {});
    chunks.return(undefined).catch(() => {});
  }
}

/** Calls back in silence and noise alike; a message more does not harm. 0 seconds: never. */
function heartbeat(seconds: number, beat: () => void): Disposable {
  const timer = seconds === 0 ? undefined : setInterval(beat, seconds * 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Puts the few bytes that were held back into the headroom before the next ones. */
function withBefore(
  held: Uint8Array,
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(buffer, byteOffset - held.length, held.length + length);
  whole.set(held);
  return whole;
}
