/** Events about callers, as data: the audit trail writes them, the metrics count them. */
import type { Caller } from "../rbac.ts";

/** What a change is to do, besides its method and its job. */
export interface ChangeDetails {
  /** The program that a Start runs, cut. */
  readonly program?: string;
  /** SHA-256 of its arguments, hexadecimal: of each argument and a NUL byte after it. */
  readonly argumentsDigest?: string;
  /** The user that the job runs as. */
  readonly user?: string;
  /** The signal of a Signal. */
  readonly signal?: string;
  /** The limits of an Update, such as `memory_bytes=1048576`. */
  readonly limits?: string;
  /** So many bytes has an Input brought. */
  readonly inputBytes?: number;
}

/** A change of a job that an authorized call begins to make: from now on it may be done. */
export interface ChangeBegun {
  readonly kind: "change-begun";
  /** Such as `/JobService/Start`. */
  readonly path: string;
  readonly caller: Caller;
  /** `HOST:PORT` of the caller. */
  readonly peer: string;
  /** The job's id. */
  readonly job: string;
  readonly details: ChangeDetails;
}

/** A change that has come to its end after its call was over, so that no answer told of it. */
export interface ChangeEnded extends Omit<ChangeBegun, "kind" | "details"> {
  readonly kind: "change-ended";
  /** The name of the gRPC status that the call would have had. */
  readonly code: string;
}

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
  /** What it was to change; empty where it was not read so far. */
  readonly details: ChangeDetails;
  /** Whether it has begun to change the job. */
  readonly hasChanged: boolean;
  /** The name of the gRPC status, such as `OK`; `HTTP 415` for a request that was not gRPC. */
  readonly code: string;
  readonly durationMs: number;
}

/** A connection that was refused before its handshake was complete. */
export interface HandshakeRefused {
  readonly kind: "handshake-refused";
  /** `HOST:PORT` of the client. */
  readonly peer: string;
  readonly reason: string;
}

/** A connection that was closed since it reset too many streams. */
export interface ResetStorm {
  readonly kind: "reset-storm";
  /** `HOST:PORT` of the client. */
  readonly peer: string;
  /** The name and the serial number of its certificate; empty where they are not known any more. */
  readonly holder: Pick<Caller, "name" | "serial">;
}

/** One event; `kind` tells them apart. */
export type AccessEvent = ChangeBegun | ChangeEnded | CallEnded | HandshakeRefused | ResetStorm;

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
