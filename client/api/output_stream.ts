import { CallScope } from "./call_scope.ts";
import { JobWorkerError } from "./errors.ts";
import type { Gap } from "./gap.ts";
import { fillQueue, type OutputSource } from "./fill_queue.ts";
import { OutputQueue } from "./output_queue.ts";
import type { StreamOptions } from "./types.ts";

/**
 * A job's output: bytes as they come, and a {@linkcode Gap} in the place of what was rotated away.
 *
 * Nothing is asked of the server before it is iterated, which can be done once. A loop that is left
 * ends the call on the server, too. Broken connections are made anew, without a lost or doubled
 * byte, until `retryForMs` are over.
 *
 * It is read no faster than the loop takes it: a slow one holds back the server, and at most a few
 * MiB wait here.
 */
export class OutputStream implements AsyncIterable<Uint8Array | Gap> {
  readonly #chunks: AsyncGenerator<Uint8Array | Gap, void, void>;
  #offset: number | undefined;
  #isTaken = false;

  /** For the library; programs get one from `JobWorkerClient.stream`. */
  constructor(source: unknown, jobID: string, options: StreamOptions) {
    const isTail = options.tailLines !== undefined || options.tailBytes !== undefined;
    this.#offset = isTail ? undefined : options.offset ?? 0;
    this.#chunks = this.#read(source as OutputSource, jobID, options);
  }

  /**
   * Where the next chunk begins, so that another stream can go on there; undefined for a tail of
   * which nothing has come yet.
   */
  get offset(): number | undefined {
    return this.#offset;
  }

  /**
   * The chunks, in order.
   *
   * @throws {JobWorkerError} It is iterated for the second time.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array | Gap, void, void> {
    if (this.#isTaken) {
      const text = "Cannot read a stream twice: ask the client for another one.";
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
        yield next.chunk;
      }
    } finally {
      scope.leave();
      await reading;
    }
  }
}
