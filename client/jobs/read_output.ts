import type { StreamResponse__Output } from "../../proto/contract.ts";
import { pause } from "../connection/abort.ts";
import { RetryPolicy } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";
import { OutputPosition, type OutputRange } from "./output_position.ts";
import type { OutputSink } from "./output_sink.ts";
import { readConnection } from "./read_stream.ts";

/** The interval of heartbeats that the server is asked for. */
const HEARTBEAT_SECONDS = 10;

/** Which output of a job, and how it is read. */
export interface OutputOptions extends OutputRange {
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  /** The interval of the server's heartbeats; 10 unless given. */
  readonly heartbeatSeconds?: number;
}

/** Where output is read from, who consumes it, and what ends it. */
export interface OutputContext {
  readonly session: Pick<Session, "connect" | "isRetryable">;
  readonly sink: OutputSink;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a job's output to its end, over as many connections as it takes; every byte arrives once.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws What the sink throws, and the signal's reason.
 */
export async function readJobOutput(
  { retryForMs, heartbeatSeconds = HEARTBEAT_SECONDS, ...range }: OutputOptions,
  { session, sink, signal }: OutputContext,
): Promise<void> {
  const position = new OutputPosition(range, sink);
  const policy = new RetryPolicy(retryForMs);
  let hasBegun = false;
  const reading = {
    request: () => position.request(),
    heartbeatSeconds,
    onMessage: (message: StreamResponse__Output) => {
      if (policy.hasFailed) {
        policy.reset();
        sink.resume(position.next ?? message.offset);
      }
      position.take(message);
      hasBegun = true;
    },
    room: sink.room && (() => sink.room?.()),
    signal,
  };
  for (;;) {
    try {
      using connection = await session.connect({ signal });
      await readConnection(connection, reading);
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (hasBegun && isNotFound(error)) throw removedMeanwhile(position.next);
      if (!session.isRetryable(error)) throw error;
      const isFirstFailure = !policy.hasFailed;
      const delayMs = policy.nextDelayMs();
      if (delayMs === undefined) throw error;
      if (isFirstFailure) sink.lose(position.next);
      await pause(delayMs, signal);
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof RefusedCallError && error.code === GrpcStatus.notFound;
}

function removedMeanwhile(next: number | undefined): RefusedCallError {
  const where = next === undefined ? "" : ` from byte ${next} on`;
  const text = `The job was removed while its output was read: what there was${where} is gone.`;
  return new RefusedCallError(text, GrpcStatus.notFound);
}
