/** Sends a job's output as it comes, at the pace of its reader. */
import { type Chunk, isTail, type ReadRange } from "../logs.ts";
import { CHUNK_BYTES, giveBackChunk } from "../logs/chunk_buffers.ts";
import { withHeadroom } from "../logs/headroom.ts";
import { type TimedOutput, TimedReader, type Timing } from "../logs/timed.ts";
import { frameOutput } from "./output_message.ts";
import { incompleteUtf8Tail } from "./utf8.ts";

const NO_BYTES = new Uint8Array();

/** Behind a chunk of so many bytes there may be another one. */
const FULL_BYTES = CHUNK_BYTES / 2;

/** The longest delay of the runtime's timers; with a longer one they fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** What all streams of a server add up to. */
export interface StreamCounts {
  /** Streams that are open now. */
  open: number;
  /** Bytes of output sent since the server's start. */
  bytes: number;
}

/** Takes the messages of one stream. */
export interface OutputSink {
  /** Whether the reader has taken so much that another message may be written. */
  readonly hasRoom: boolean;
  /** Waits until there is room, or the signal is aborted. */
  ready(signal: AbortSignal): Promise<void>;
  /** @param frame A StreamResponse with its gRPC prefix. */
  write(frame: Uint8Array): void;
}

/** What is sent, where to, and for how long. */
export interface SendOptions {
  readonly range: ReadRange;
  /** Given: which times are sent, and each message tells its time. */
  readonly timing?: Timing | undefined;
  readonly sink: OutputSink;
  /** Ends the sending early, without an error. */
  readonly signal: AbortSignal;
  /** The interval of empty messages, which show that the connection is alive; 0: none are sent. */
  readonly heartbeatMs: number;
  readonly counts: StreamCounts;
  /** See {@linkcode OutputLog.read}. */
  readonly takeTurn?: () => Promise<Disposable>;
}

/**
 * Sends output in order until the range ends or the signal is aborted. Where the output is UTF-8
 * (RFC 3629), no message ends inside a character.
 *
 * @throws {Deno.errors.NotFound} When the output's file is gone.
 */
export async function sendOutput(
  output: TimedOutput,
  { range, timing, sink, signal, heartbeatMs, counts, takeTurn }: SendOptions,
): Promise<void> {
  const source = timing === undefined ? output : new TimedReader(output, timing);
  // Where a tail begins, and what was written since a time, is known only from the first chunk.
  const isSearched = isTail(range) || timing?.sinceMs !== undefined;
  let nextOffset = range.offset ?? (isSearched ? undefined : 0);
  // The beginning of a character whose other bytes have not come yet.
  let held: Uint8Array = NO_BYTES;
  let lastMs = 0;
  const send = (bytes: Uint8Array, offset: number, gapBytes: number, isLast = false) => {
    nextOffset = offset + bytes.length;
    counts.bytes += bytes.length;
    sink.write(frameOutput({ output: bytes, offset, gapBytes, timeMs: lastMs, isLast }));
  };
  using _heartbeat = every(heartbeatMs, () => {
    // A slow reader has messages to read already, and what waits for it must not grow.
    if (nextOffset === undefined || signal.aborted || !sink.hasRoom) return;
    send(withHeadroom(NO_BYTES), nextOffset, 0);
  });
  for await (const chunk of readAhead(source.read(range, signal, takeTurn))) {
    const { offset, bytes, gapBytes, timeMs = 0 } = chunk;
    if (gapBytes > 0 && held.length > 0) {
      send(withHeadroom(held), offset - gapBytes - held.length, 0);
      held = NO_BYTES;
    }
    lastMs = timeMs;
    const begin = offset - held.length;
    const whole = prepend(held, bytes);
    const cut = whole.length - incompleteUtf8Tail(whole);
    const isNews = cut > 0 || gapBytes > 0 || nextOffset === undefined;
    if (isNews) send(whole.subarray(0, cut), begin, gapBytes);
    else nextOffset = begin;
    held = whole.slice(cut);
    await sink.ready(signal);
    if (signal.aborted) return;
    // The reader's connection has taken all of it.
    giveBackChunk(whole);
  }
  if (nextOffset === undefined || signal.aborted) return;
  if (held.length > 0) send(withHeadroom(held), nextOffset, 0);
  // So that a reader need not ask whether there is more: the job may be removed by then.
  if (heartbeatMs > 0) send(withHeadroom(NO_BYTES), nextOffset, 0, true);
}

/**
 * Reads the next chunk while this one is being sent, and no more than that. Behind a short one there is hardly more
 * yet: to find that out would only keep it waiting.
 */
async function* readAhead(chunks: AsyncGenerator<Chunk>): AsyncGenerator<Chunk> {
  const read = () => {
    const next = chunks.next();
    // An error is thrown when the chunk is awaited: until then it is not an unhandled one.
    next.catch(() => {});
    return next;
  };
  let next = read();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done === true) return;
      const isFull = value.bytes.length >= FULL_BYTES;
      if (isFull) next = read();
      yield value;
      if (!isFull) next = read();
    }
  } finally {
    // Closes the file as soon as the read in progress is done; its chunk is not needed any more.
    chunks.return(undefined).catch(() => {});
  }
}

/** Calls back at an interval, in milliseconds; 0: never. */
export function every(intervalMs: number, action: () => void): Disposable {
  const timer = intervalMs === 0
    ? undefined
    : setInterval(action, Math.min(intervalMs, MAX_TIMER_MS));
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Puts the few bytes that were held back into the headroom before the next ones. */
function prepend(
  held: Uint8Array,
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(buffer, byteOffset - held.length, held.length + length);
  whole.set(held);
  return whole;
}
