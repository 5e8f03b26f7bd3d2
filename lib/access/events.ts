/** Events about callers, as data: the audit trail writes them, the metrics count them. */
import type { Caller } from "../rbac.ts";

/** A call that has ended, whatever became of it. */
export interface CallEnded {
  readonly kind: "call-ended";
  /** Such as `/JobService/Start`; where there is no such method, the text that the caller sent. */
  readonly path: string;
  /** The name and the serial number are empty for a caller without a certificate. */
  readonly caller: Caller;
  /** `HOST:PORT` of the caller. */
  readonly peer: string;
  /** The id of the call's job; the text that the caller sent where no job was found by it. */
  readonly job: string | undefined;
  /** The name of the gRPC status, such as `OK`. */
  readonly code: string;
  /** Absent for methods that do not exist: nothing was done for them. */
  readonly durationMs: number | undefined;
}

/** A connection that was refused before its handshake was complete. */
export interface HandshakeRefused {
  readonly kind: "handshake-refused";
  /** `HOST:PORT` of the client. */
  readonly peer: string;
  readonly reason: string;
  /** Handshakes refused since the last event, which have no event of their own. */
  readonly unreportedBefore: number;
}

/** A connection that was closed since it reset too many streams. */
export interface ResetStorm {
  readonly kind: "reset-storm";
  /** `HOST:PORT` of the client. */
  readonly peer: string;
}

/** One event; `kind` tells them apart. */
export type AccessEvent = CallEnded | HandshakeRefused | ResetStorm;

/** Takes events as they happen; it must not throw. */
export type AccessObserver = (event: AccessEvent) => void;

/** Passes each event on to every observer, in the order in which they were added. */
export class AccessEvents {
  readonly #observers: AccessObserver[] = [];

  /** Adds an observer of the events from now on. */
  observe(observer: AccessObserver): void {
    this.#observers.push(observer);
  }

  /** Reports an event; a property, so that it can be handed over as a function. */
  readonly report: AccessObserver = (event) => {
    for (const observer of this.#observers) observer(event);
  };
}
