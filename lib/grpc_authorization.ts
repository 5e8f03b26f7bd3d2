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
import type { CallCounter } from "./call_bounds.ts";
import { messageOf } from "./errors.ts";
import { http2StreamOf } from "./grpc_internals.ts";
import { type Peer, peerOf, type PeerWatch } from "./grpc_peers.ts";
import { log } from "./log.ts";
import { type Caller, isAllowed } from "./rbac.ts";

const NOBODY: Peer = {
  caller: { name: "", serial: "", roles: [] },
  access: AbortSignal.abort(new Error("a client certificate is required")),
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
  { peers, calls }: { peers: PeerWatch; calls: CallCounter },
): ServerInterceptor {
  return ({ path }, call) => {
    const peer = peers.identify(http2StreamOf(call).session) ?? NOBODY;
    const audit = new AuditLine(path, peer.caller, call.getPeer());
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
  if (access.aborted) {
    return { code: status.UNAUTHENTICATED, details: messageOf(access.reason) };
  }
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

/** One line of the log for each call: never an argument, never output. */
class AuditLine {
  /** Called at the end, once. */
  onEnd: () => void = () => {};
  readonly #path: string;
  readonly #caller: Caller;
  readonly #peer: string;
  readonly #begin = performance.now();
  #job = "";
  #isEnded = false;

  constructor(path: string, caller: Caller, peer: string) {
    this.#path = path;
    this.#caller = caller;
    this.#peer = peer;
  }

  /** Remembers the job's id, from the request or, of a Start, from the answer. */
  sawMessage(message: unknown): void {
    if (this.#job !== "") return;
    const id = (message as { jobID?: unknown } | null)?.jobID;
    if (typeof id === "string") this.#job = id.slice(0, 64);
  }

  end(code: status): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.onEnd();
    log.info("call", {
      method: this.#path,
      who: this.#caller.name,
      serial: this.#caller.serial,
      roles: this.#caller.roles.join(","),
      peer: this.#peer,
      job: this.#job === "" ? undefined : this.#job,
      code: status[code],
      ms: Math.round((performance.now() - this.#begin) * 10) / 10,
    });
  }
}
