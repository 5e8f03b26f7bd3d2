import { type Deferred, deferred } from "../../common/deferred.ts";
import type { Event__Output } from "../../proto/contract.ts";
import type { EventSink } from "../jobs/read_events.ts";
import type { EventsOptions } from "./types.ts";

/** Events that wait for a slow reader before the call is ended, to be made again when they are taken. */
const MAX_WAITING = 1000;

/** Events that have arrived and were not taken yet, in order. */
export class EventQueue implements EventSink {
  readonly #listeners: Pick<EventsOptions, "onLost" | "onResumed">;
  readonly #events: Event__Output[] = [];
  #end: { error?: unknown } | undefined;
  #arrive = () => {};
  #room: Deferred<void> | undefined;

  constructor(listeners: Pick<EventsOptions, "onLost" | "onResumed">) {
    this.#listeners = listeners;
  }

  take(event: Event__Output): void {
    this.#events.push(event);
    this.#arrive();
  }

  lose(): void {
    this.#listeners.onLost?.();
  }

  resume(): void {
    this.#listeners.onResumed?.();
  }

  room(): Promise<void> | undefined {
    if (this.#events.length >= MAX_WAITING) this.#room ??= deferred<void>();
    return this.#room?.promise;
  }

  /** Marks the end of the events, with the error that ended them, if any. */
  finish(end: { error?: unknown }): void {
    this.#end ??= end;
    this.#arrive();
  }

  /** Nobody takes events any more. */
  leave(): void {
    this.#open();
  }

  /**
   * The next event.
   *
   * @returns Undefined after the last one.
   * @throws The error that ended the events.
   */
  async next(): Promise<Event__Output | undefined> {
    for (;;) {
      const event = this.#events.shift();
      if (this.#events.length === 0) this.#open();
      if (event !== undefined) return event;
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#arrive = resolve);
    }
  }

  #open(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
