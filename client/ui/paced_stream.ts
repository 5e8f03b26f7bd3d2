/** Output as a stream that is read only as fast as somebody takes it. Pure. */
import type { OutputSink } from "../jobs/output_sink.ts";

/** So much is read ahead of who takes it. */
export const AHEAD_BYTES = 1024 ** 2;

/**
 * The bytes that a reading puts into its sink.
 *
 * @param read Reads to the end; what it throws is the stream's failure. Its signal says that nobody
 * takes the bytes any more.
 */
export function pacedStream(
  read: (sink: OutputSink, signal: AbortSignal) => Promise<void>,
): ReadableStream<Uint8Array> {
  const left = new AbortController();
  let wake = () => {};
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const sink: OutputSink = {
          take: (bytes) => controller.enqueue(bytes),
          skip() {},
          lose() {},
          resume() {},
          room: () =>
            (controller.desiredSize ?? 0) > 0
              ? undefined
              : new Promise<void>((resolve) => wake = resolve),
        };
        read(sink, left.signal)
          .then(() => controller.close())
          // Where nobody takes the bytes any more, this says nothing.
          .catch((error) => controller.error(error));
      },
      pull() {
        wake();
      },
      cancel() {
        left.abort();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
  );
}
