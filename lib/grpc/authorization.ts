/**
 * The interceptor of every call: it identifies the caller, lets the call in or refuses it, and
 * reports its end.
 */
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import type { ServerHttp2Stream } from "node:http2";
import type { CallCounter } from "../access/call_bounds.ts";
import type { AccessObserver } from "../access/events.ts";
import type { RequestBytes } from "../access/request_bytes.ts";
import { hasManyMessages, isAllowed, isReflection, methodNameOf } from "../rbac.ts";
import { type CallContext, setContext, UNAUTHENTICATED } from "./call_context.ts";
import { toStatus } from "./endings.ts";
import { http2StreamOf, watchStatus } from "./internals.ts";
import type { Peer, PeerWatch } from "./peers.ts";
import { boundMessages } from "./message_bounds.ts";
import { boundRequest, type RequestRefusal } from "./request_bounds.ts";

/** What the interceptor works with. */
export interface AuthorizationOptions {
  /** Who is at the other end of each connection. */
  readonly peers: Pick<PeerWatch, "identify">;
  /** How many calls each user has open. */
  readonly calls: CallCounter;
  /** What the requests of each user hold. */
  readonly requests: RequestBytes;
  /** Called once at the end of each call. */
  readonly report: AccessObserver;
}

/**
 * Makes the interceptor. It refuses a call before the request is read, so that a refusal says
 * nothing about which jobs exist.
 */
export function authorizationInterceptor(
  { peers, calls, requests, report }: AuthorizationOptions,
): ServerInterceptor {
  return ({ path }, call) => {
    const stream = http2StreamOf(call);
    const { caller, access } = peers.identify(stream.session) ?? UNAUTHENTICATED;
    const method = methodNameOf(path) ?? path;
    const peer = call.getPeer();
    let hasChanged = false;
    const context: CallContext = {
      caller,
      access,
      method,
      job: undefined,
      details: {},
      beginChange: (job) => {
        hasChanged = true;
        context.job = job;
        const { details } = context;
        report({ kind: "change-begun", path, caller, peer, job, details });
      },
      endLate: (code) => {
        const { job = "" } = context;
        if (hasChanged) report({ kind: "change-ended", path, caller, peer, job, code });
      },
    };
    setContext(stream, context);
    const beganAtMs = performance.now();
    let release = () => {};
    let endWatch = () => {};
    const end = once((code: status) => {
      release();
      endWatch();
      const durationMs = performance.now() - beganAtMs;
      const { job, details } = context;
      const outcome = { job, details, hasChanged, code: status[code], durationMs };
      report({ kind: "call-ended", path, caller, peer, ...outcome });
    });
    watchStatus(call, (code) => end(isGone(stream) ? status.CANCELLED : code));
    const refuse = (refusal: RequestRefusal) => {
      end(refusal.code);
      call.sendStatus(refusal);
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata: Metadata, next) => {
        const refusal = refusalOf(context, path) ?? excessOf(context, calls);
        if (refusal === undefined) {
          release = once(() => calls.end(caller.name));
          // A stream closes however its call ends.
          stream.once("close", release);
          const begin = () => requests.begin(caller.name);
          if (hasManyMessages(path)) endWatch = boundMessages(stream, { begin, refuse });
          // Questions of reflection come one by one, for as long as a tool runs: it bounds them.
          else if (!isReflection(path)) {
            endWatch = boundRequest(stream, { path, held: begin(), refuse });
          }
          return next(metadata);
        }
        // A refusal is one also where the caller has gone.
        refuse(refusal);
      })
      .withOnReceiveMessage((message, next) => {
        context.job ??= jobIn(message);
        next(message);
      })
      .withOnCancel(() => end(status.CANCELLED))
      .build();
    const responder = new ResponderBuilder().withStart((next) => next(listener)).build();
    return new ServerInterceptingCall(call as ServerInterceptingCallInterface, responder);
  };
}

/** Whether nothing can be sent any more. */
function isGone({ destroyed, closed }: ServerHttp2Stream): boolean {
  return destroyed || closed;
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

/** Counts the call; a status where it is one too many. */
function excessOf({ caller }: Peer, calls: CallCounter) {
  const excess = calls.begin(caller.name, performance.now());
  return excess === undefined
    ? undefined
    : { code: status.RESOURCE_EXHAUSTED, details: `${excess}; end some, or call less often` };
}

/** The job that a request names, if it names one. */
function jobIn(request: unknown): string | undefined {
  return typeof request === "object" && request !== null && "jobID" in request &&
      typeof request.jobID === "string"
    ? request.jobID
    : undefined;
}

function once<Arguments extends unknown[]>(
  action: (...args: Arguments) => void,
): (...args: Arguments) => void {
  let isDone = false;
  return (...args) => {
    if (isDone) return;
    isDone = true;
    action(...args);
  };
}
