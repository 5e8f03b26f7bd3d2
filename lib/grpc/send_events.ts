/** Sends events as they happen, at the pace of their reader. */
import type { Event } from "../../proto/contract.ts";
import type { EventsPage } from "../job/events.ts";
import { every, MAX_TIMER_MS, type OutputSink } from "./send_output.ts";
import { toEvent } from "./translate.ts";

/** After the end of the time that is told: what ended in it may go on record a moment later. */
const LATE_MS = 1000;

/** Where events are sent to, and for how long. */
export interface SendEventsOptions {
  readonly sink: Pick<OutputSink, "hasRoom" | "ready"> & { send(message: Event): void };
  /** Ends the sending early, without an error. */
  readonly signal: AbortSignal;
  /** The sending ends at this time: milliseconds since 1970-01-01 UTC; Infinity: never. */
  readonly untilMs: number;
  /** The interval of empty events; 0: none are sent. */
  readonly heartbeatMs: number;
}

/**
 * Sends events in order until there are no more, the time is over or the signal is aborted.
 *
 * @param read Reads the pages, until its signal is aborted.
 */
export async function sendEvents(
  read: (signal: AbortSignal) => AsyncGenerator<EventsPage, void, void>,
  { sink, signal, untilMs, heartbeatMs }: SendEventsOptions,
): Promise<void> {
  let cursor: string | undefined;
  using end = endAt(untilMs + LATE_MS, signal);
  using _heartbeat = every(heartbeatMs, () => {
    // A slow reader has messages to read already, and what waits for it must not grow.
    if (cursor !== undefined && !end.signal.aborted && sink.hasRoom) sink.send({ cursor });
  });
  const send = async (event: Event) => {
    sink.send(event);
    await sink.ready(signal);
  };
  for await (const { events, missed, next } of read(end.signal)) {
    if (signal.aborted) return;
    if (missed) await send({ kind: "EVENT_KIND_MISSED", timeMs: Date.now() });
    for (const event of events) {
      await send(toEvent(event));
      if (signal.aborted) return;
    }
    // What nobody asked for is passed over, too, when the reader goes on.
    const isFirst = cursor === undefined;
    cursor = String(next);
    if (isFirst) await send({ cursor });
  }
}

/** A signal that is aborted by another one, or at a time. A far one is left to the next connection. */
function endAt(atMs: number, outer: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (outer.aborted) abort();
  outer.addEventListener("abort", abort);
  const waitMs = Math.max(0, atMs - Date.now());
  const timer = waitMs > MAX_TIMER_MS ? undefined : setTimeout(abort, waitMs);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      outer.removeEventListener("abort", abort);
    },
  };
}
