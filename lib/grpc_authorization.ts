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
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { http2StreamOf, socketOf } from "./grpc_internals.ts";
import { log } from "./log.ts";
import { type Caller, isAllowed, readRoles } from "./rbac.ts";

const NOBODY: Caller = { name: "", serial: "", roles: [] };

/** Reading a certificate is dear, and it cannot change while the connection lives. */
const callers = new WeakMap<Http2Session, Caller>();

/** Who calls, for a handler: the interceptor has let the call through. */
export function callerOf(call: unknown): Caller {
  const { session } = http2StreamOf(call);
  return (session === undefined ? undefined : callers.get(session)) ?? NOBODY;
}

/**
 * Makes the interceptor. It refuses before the request is read, so that a refusal tells nothing about
 * what exists.
 *
 * @param roleOid The OID of the role extension.
 */
export function authorizationInterceptor(roleOid: string): ServerInterceptor {
  return ({ path }, call) => {
    const stream = http2StreamOf(call);
    const caller = identify(stream, roleOid);
    const audit = new AuditLine(path, caller, call.getPeer());
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata: Metadata, next) => {
        if (isAllowed(caller.roles, path)) return next(metadata);
        const refusal = refusalOf(caller, path);
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

function refusalOf(caller: Caller, path: string) {
  const method = path.slice(path.lastIndexOf("/") + 1);
  if (caller === NOBODY) {
    return { code: status.UNAUTHENTICATED, details: "a client certificate is required" };
  }
  const roles = caller.roles.length === 0 ? "has no role" : `is ${caller.roles.join(" and ")}`;
  return {
    code: status.PERMISSION_DENIED,
    details: `${caller.name} ${roles} and may not call ${method}; ` +
      "ask for a certificate with the role it needs",
  };
}

function identify(stream: ServerHttp2Stream, roleOid: string): Caller {
  const { session } = stream;
  const socket = socketOf(session);
  if (session === undefined || socket === undefined) return NOBODY;
  const known = callers.get(session);
  if (known !== undefined) return known;
  const caller = readCaller(socket, roleOid);
  callers.set(session, caller);
  return caller;
}

function readCaller(socket: TLSSocket, roleOid: string): Caller {
  if (!socket.authorized) return NOBODY;
  const certificate = socket.getPeerCertificate();
  const raw: unknown = certificate.raw;
  if (!(raw instanceof Uint8Array)) return NOBODY;
  const { CN } = certificate.subject;
  return {
    name: String(Array.isArray(CN) ? CN[0] : CN ?? ""),
    serial: certificate.serialNumber,
    roles: readRoles(raw, roleOid),
  };
}

/** One line of the log for each call: never an argument, never output. */
class AuditLine {
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
