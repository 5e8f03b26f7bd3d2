import { CallScope } from "./call_scope.ts";
import { JobWorkerError } from "./errors.ts";
import type { Gap } from "./gap.ts";
import { fillQueue, type OutputSource } from "./fill_queue.ts";
import { OutputQueue } from "./output_queue.ts";
import type { StreamOptions } from "./types.ts";

/**
 * A job's output: bytes, and a {@linkcode Gap} in place of what is missing.
 *
 * The call starts with the iteration, which is possible once; leaving the loop ends the call. A broken
 * connection is made again, for `retryForMs`, and every byte arrives once.
 *
 * Output is read only as fast as the loop takes it: a slow loop slows down the server, and at most a
 * few MiB wait here.
 */
export class OutputStream implements AsyncIterable<Uint8Array | Gap> {
  readonly #chunks: AsyncGenerator<Uint8Array | Gap, void, void>;
  #offset: number | undefined;
  #timeMs: number | undefined;
  #isTaken = false;

  /** For the library; programs call `JobWorkerClient.stream`. */
  constructor(source: unknown, jobID: string, options: StreamOptions) {
    const { offset = 0, tailLines, tailBytes, since } = options;
    this.#offset = (tailLines ?? tailBytes ?? since) === undefined ? offset : undefined;
    this.#chunks = this.#read(source as OutputSource, jobID, options);
  }

  /**
   * The offset of the next chunk, at which another stream can continue; undefined for a tail, and
   * with `since`, before the first chunk.
   */
  get offset(): number | undefined {
    return this.#offset;
  }

  /**
   * When the chunk just taken was written: milliseconds since 1970-01-01 UTC by the server's clock, half
   * a second exact. Undefined unless `timestamps` is set, and for a gap.
   */
  get timeMs(): number | undefined {
    return this.#timeMs;
  }

  /**
   * The chunks, in order.
   *
   * @throws {JobWorkerError} This is the second iteration.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array | Gap, void, void> {
    if (this.#isTaken) {
      const text = "Cannot read a stream twice: call stream again.";
      throw new JobWorkerError(text, "FAILED_PRECONDITION");
    }
    this.#isTaken = true;
    return this.#chunks;
  }

  async *#read(
    { session, life }: OutputSource,
    text: string,
    options: StreamOptions,
  ): AsyncGenerator<Uint8Array | Gap, void, void> {
    using scope = new CallScope("stream", life, options);
    const { signal } = scope;
    const queue = new OutputQueue({
      onLost: (offset) => options.onLost?.(offset),
      onResumed: (offset) => options.onResumed?.(offset),
    });
    const reading = fillQueue(queue, { session, signal, text, options });
    try {
      for (;;) {
        signal.throwIfAborted();
        const next = await queue.next();
        signal.throwIfAborted();
        if (next === undefined) return;
        this.#offset = next.offset + next.chunk.length;
        this.#timeMs = options.timestamps === true ? next.timeMs || undefined : undefined;
        yield next.chunk;
      }
    } finally {
      scope.leave();
      await reading;
    }
  }
}
