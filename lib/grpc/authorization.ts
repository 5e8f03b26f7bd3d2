/** The interceptor that every call goes through: who calls, may they, and one audit line for each. */
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import type { AuditTrail } from "../access/audit.ts";
import type { CallCounter } from "../access/call_bounds.ts";
import { JobError } from "../errors.ts";
import { toStatus } from "./endings.ts";
import { http2StreamOf } from "./internals.ts";
import { type Peer, peerOf, type PeerWatch } from "./peers.ts";
import { type Caller, isAllowed, isHealthMethod } from "../rbac.ts";

const NOBODY: Peer = {
  caller: { name: "", serial: "", roles: [] },
  access: AbortSignal.abort(
    new JobError("unauthenticated", "a client certificate is required"),
  ),
};

/** Who calls, for a handler: the interceptor has let the call through. */
export function callerOf(call: unknown): Peer {
  return peerOf(http2StreamOf(call).session) ?? NOBODY;
}

/**
 * Makes the interceptor. It refuses before the request is read, so that a refusal tells nothing about
 * what exists.
 *
 * @param options Who is behind each connection, and how many calls they have.
 */
export function authorizationInterceptor(
  { peers, calls, trail }: { peers: PeerWatch; calls: CallCounter; trail: AuditTrail },
): ServerInterceptor {
  return ({ path }, call) => {
    const peer = peers.identify(http2StreamOf(call).session) ?? NOBODY;
    const audit = new AuditLine(trail, { path, caller: peer.caller, peer: call.getPeer() });
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata: Metadata, next) => {
        const refusal = refusalOf(peer, path) ?? excessOf(peer, calls);
        if (refusal === undefined) {
          const release = once(() => calls.end(peer.caller.name));
          audit.onEnd = release;
          // Whatever becomes of a call, its stream closes.
          http2StreamOf(call).once("close", release);
          return next(metadata);
        }
        audit.end(refusal.code);
        call.sendStatus(refusal);
      })
      .withOnReceiveMessage((message, next) => {
        audit.sawMessage(message);
        next(message);
      })
      .withOnCancel(() => audit.end(status.CANCELLED))
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMessage((message, next) => {
        audit.sawMessage(message);
        next(message);
      })
      .withSendStatus((outcome, next) => {
        audit.end(outcome.code ?? status.UNKNOWN);
        next(outcome);
      })
      .build();
    return new ServerInterceptingCall(call as ServerInterceptingCallInterface, responder);
  };
}

function refusalOf({ caller, access }: Peer, path: string) {
  if (access.aborted) return toStatus(access.reason);
  if (isAllowed(caller.roles, path)) return undefined;
  const method = path.slice(path.lastIndexOf("/") + 1);
  const roles = caller.roles.length === 0 ? "has no role" : `is ${caller.roles.join(" and ")}`;
  return {
    code: status.PERMISSION_DENIED,
    details: `${caller.name} ${roles} and may not call ${method}; ` +
      "ask for a certificate with the role it needs",
  };
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) action();
    isDone = true;
  };
}

function excessOf({ caller }: Peer, calls: CallCounter) {
  const excess = calls.begin(caller.name, performance.now());
  return excess === undefined
    ? undefined
    : { code: status.RESOURCE_EXHAUSTED, details: `${excess}; end some, or call less often` };
}

/** What a call ends with that was not let in. */
const REFUSALS: ReadonlySet<status> = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.RESOURCE_EXHAUSTED,
]);

/** One line of the trail for each call: never an argument, never output. */
class AuditLine {
  /** Called at the end, once. */
  onEnd: () => void = () => {};
  readonly #trail: AuditTrail;
  readonly #call: { path: string; caller: Caller; peer: string };
  readonly #begin = performance.now();
  #message: { jobID: string } | undefined;
  #isEnded = false;

  constructor(trail: AuditTrail, call: { path: string; caller: Caller; peer: string }) {
    this.#trail = trail;
    this.#call = call;
  }

  /** Remembers what names the job: the request or, of a Start, the answer. */
  sawMessage(message: unknown): void {
    if (this.#message !== undefined || !hasJobID(message)) return;
    this.#message = message;
  }

  end(code: status): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.onEnd();
    const { path, caller, peer } = this.#call;
    const fields = {
      method: path,
      who: caller.name,
      serial: caller.serial,
      roles: caller.roles.join(","),
      peer,
      // By now a name has become an id.
      job: this.#message?.jobID.slice(0, 64),
      code: status[code],
      ms: Math.round((performance.now() - this.#begin) * 10) / 10,
    };
    // A probe asks every few seconds for years: only that one was refused is worth a line.
    if (isHealthMethod(path) && !REFUSALS.has(code)) this.#trail.pass("call", fields);
    else this.#trail.add("call", fields);
  }
}

function hasJobID(message: unknown): message is { jobID: string } {
  return typeof message === "object" && message !== null && "jobID" in message &&
    typeof message.jobID === "string";
}
