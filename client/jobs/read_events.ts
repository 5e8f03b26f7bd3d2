/** Reads what happens to jobs, over as many connections as it takes. */
import type { Event__Output, EventsRequest } from "../../proto/contract.ts";
import { pause } from "../connection/abort.ts";
import type { Connection } from "../connection/connection.ts";
import { HeartbeatTimeout } from "../connection/heartbeat_timeout.ts";
import { RetryPolicy } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { readAnswers } from "./read_answers.ts";

/** The interval of heartbeats that the server is asked for. */
const HEARTBEAT_SECONDS = 10;

/** The consumer of events. What its methods throw ends the reading and is thrown on. */
export interface EventSink {
  /** Takes the next event. */
  take(event: Event__Output): void;
  /** Learns that the connection broke, and is tried again. */
  lose(): void;
  /** Learns that the events continue, without one lost or told twice. */
  resume(): void;
  /** A promise while the sink accepts no more, undefined while it does. */
  room?(): Promise<void> | undefined;
}

/** Which events, and how they are read. */
export interface EventsReading {
  readonly request: EventsRequest;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  readonly heartbeatSeconds?: number;
}

/** Where events are read from, who consumes them, and what ends it. */
export interface EventsContext {
  readonly session: Pick<Session, "connect" | "isRetryable">;
  readonly sink: EventSink;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads events until there are no more; each arrives once.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws What the sink throws, and the signal's reason.
 */
export async function readEvents(
  { request, retryForMs, heartbeatSeconds = HEARTBEAT_SECONDS }: EventsReading,
  { session, sink, signal }: EventsContext,
): Promise<void> {
  const policy = new RetryPolicy(retryForMs);
  let after = request.after ?? "";
  const onEvent = (event: Event__Output) => {
    if (policy.hasFailed) {
      policy.reset();
      sink.resume();
    }
    if (event.kind !== "EVENT_KIND_UNSPECIFIED") sink.take(event);
    // It is taken: the next connection continues after it.
    if (event.cursor !== "") after = event.cursor;
  };
  for (;;) {
    try {
      using connection = await session.connect({ signal });
      const next = () => ({ ...request, after, heartbeatSeconds });
      while (!await readStream(connection, { request: next(), onEvent, sink, signal })) {
        await sink.room?.();
        signal?.throwIfAborted();
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (!session.isRetryable(error)) throw error;
      const isFirstFailure = !policy.hasFailed;
      const delayMs = policy.nextDelayMs();
      if (delayMs === undefined) throw error;
      if (isFirstFailure) sink.lose();
      await pause(delayMs, signal);
    }
  }
}

/** @returns Whether it was read to its end; false: the sink accepts no more, and it was cancelled. */
async function readStream(
  connection: Pick<Connection, "events" | "server">,
  { request, onEvent, sink, signal }: {
    readonly request: EventsRequest & { readonly heartbeatSeconds: number };
    readonly onEvent: (event: Event__Output) => void;
    readonly sink: EventSink;
    readonly signal: AbortSignal | undefined;
  },
): Promise<boolean> {
  using timeout = new HeartbeatTimeout(request.heartbeatSeconds, signal);
  const call = connection.events(request);
  return await readAnswers(call, {
    server: connection.server,
    method: "Events",
    timeout,
    missing: "no heartbeat",
    take: timeout.restartedBy(onEvent),
    isEnough: () => sink.room?.() !== undefined,
    signal,
  });
}
