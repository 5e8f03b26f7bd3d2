/** Streams a job's output to the page. */
import { ClientError, messageOf } from "../errors.ts";
import { follow, type Sink } from "../jobs/follow.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { OutputQueue } from "./output_queue.ts";
import type { OutputRequest } from "./protocol.ts";

/**
 * The output as frames, as it comes.
 *
 * @param range Which output.
 * @param from The session, and a signal that the page has closed the request: without it a job that
 * prints nothing would be followed for nothing.
 */
export function feedOutput(
  range: OutputRequest,
  { session, signal }: { session: Session; signal: AbortSignal },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const queue = new OutputQueue();
  const left = new AbortController();
  let isDone = false;
  const isLeft = AbortSignal.any([signal, left.signal]);
  readInto(queue, { range, session, signal: isLeft }).then(() => isDone = true);
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue(await queue.take());
      if (isDone && queue.isEmpty) controller.close();
    },
    cancel() {
      left.abort();
    },
  });
}

interface Reading {
  readonly range: OutputRequest;
  readonly session: Session;
  readonly signal: AbortSignal;
}

async function readInto(queue: OutputQueue, { range, session, signal }: Reading): Promise<void> {
  const { length = Infinity, ...options } = range;
  const enough = new AbortController();
  const ended = AbortSignal.any([signal, enough.signal]);
  const sink = length === Infinity ? queue : new FirstBytes(queue, length, enough);
  try {
    await follow(
      { ...options, retryForMs: DEFAULT_RETRY_FOR_MS },
      { session, sink, signal: ended },
    );
    queue.end();
  } catch (error) {
    if (ended.aborted) queue.end();
    else if (error instanceof ClientError) queue.fail(messageOf(error));
    else queue.fail(`Internal error: ${messageOf(error)}. Please report it.`);
  }
}

/** Passes on so many bytes, then aborts the reading. */
class FirstBytes implements Sink {
  readonly #sink: Sink;
  readonly #enough: AbortController;
  #leftBytes: number;

  constructor(sink: Sink, length: number, enough: AbortController) {
    this.#sink = sink;
    this.#leftBytes = length;
    this.#enough = enough;
  }

  write(bytes: Uint8Array, offset: number, timeMs: number): void {
    const part = bytes.subarray(0, this.#leftBytes);
    if (part.length > 0) this.#sink.write(part, offset, timeMs);
    this.#leftBytes -= part.length;
    if (this.#leftBytes === 0) this.#enough.abort();
  }

  note(text: string): void {
    if (this.#leftBytes > 0) this.#sink.note(text);
  }
}
