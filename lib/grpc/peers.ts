/** Who is at the other end of each connection, and whether they still may be. */
import type { Http2SecureServer, Http2Session, ServerHttp2Session } from "node:http2";
import { setImmediate } from "node:timers";
import type { TLSSocket } from "node:tls";
import { type ClientTrust, EXPIRED, type Standing } from "../tls/client_trust.ts";
import { JobError, messageOf } from "../errors.ts";
import { socketOf } from "./internals.ts";
import { log } from "../log.ts";
import { type Caller, readRoles } from "../rbac.ts";

/** How often open connections are looked at: so long after a revocation, calls end. */
const SWEEP_INTERVAL_MS = 1000;

/** A connection that may no longer be is closed so long after its calls were ended with a reason. */
const CLOSE_DELAY_MS = 2000;

/** The other end of a connection. */
export interface Peer {
  readonly caller: Caller;
  /** Aborted, with a {@link JobError} as the reason, when access is lost. */
  readonly access: AbortSignal;
}

interface KnownPeer extends Peer {
  readonly der: Uint8Array;
  readonly control: AbortController;
  standing: Standing;
  /** Which trust the standing is by. */
  trust: ClientTrust;
  refusal: { readonly atMs: number; readonly reason: string } | undefined;
}

const peers = new WeakMap<Http2Session, KnownPeer>();

/** Who is behind a connection that a {@link PeerWatch} has let a call through on. */
export function peerOf(session: Http2Session | undefined): Peer | undefined {
  return session === undefined ? undefined : peers.get(session);
}

/** Judges peers, at each call and while their connections are open. */
export class PeerWatch implements Disposable {
  readonly #roleOid: string;
  readonly #maxPerUser: number;
  readonly #sessions = new Set<Http2Session>();
  /** How many connections each user has, by the certificate's name. */
  readonly #open = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #trust: ClientTrust;

  /**
   * @param options The OID of the role extension, and how many connections one user may have;
   * Infinity: no bound.
   */
  constructor(
    trust: ClientTrust,
    { roleOid, maxConnectionsPerUser }: { roleOid: string; maxConnectionsPerUser: number },
  ) {
    this.#trust = trust;
    this.#roleOid = roleOid;
    this.#maxPerUser = maxConnectionsPerUser;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS);
  }

  /**
   * Watches the connections of a server. A certificate is read while its owner is still busy with
   * the handshake, and not when the first call waits for it.
   */
  watch(server: Http2SecureServer): void {
    server.on("session", (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      setImmediate(() => this.#sessions.has(session) && this.#examine(session, Date.now()));
    });
  }

  /** Believes others from now on, also on connections that are open. */
  believe(trust: ClientTrust): void {
    this.#trust = trust;
    this.#sweep();
  }

  /**
   * Identifies who calls, and judges them as things are now.
   *
   * @returns Undefined where there is no certificate.
   */
  identify(session: Http2Session | undefined): Peer | undefined {
    const socket = socketOf(session);
    if (session === undefined || socket === undefined) return undefined;
    const known = peers.get(session) ?? this.#admit(session, this.#meet(socket));
    if (known !== undefined) this.#judge(known, Date.now());
    return known;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Counts a connection while it is open, and refuses it where it is one too many. */
  #admit(session: Http2Session, peer: KnownPeer | undefined): KnownPeer | undefined {
    if (peer === undefined) return undefined;
    peers.set(session, peer);
    if (session.destroyed) return peer;
    const { name } = peer.caller;
    const open = (this.#open.get(name) ?? 0) + 1;
    this.#open.set(name, open);
    session.on("close", () => {
      const left = (this.#open.get(name) ?? 1) - 1;
      if (left > 0) this.#open.set(name, left);
      else this.#open.delete(name);
    });
    if (open > this.#maxPerUser) {
      const reason = `has ${this.#maxPerUser} connections open, the most that ` +
        "--max-connections-per-user allows";
      refuse(peer, reason, new JobError("exhausted", `${name} ${reason}; end some, or share one`));
    }
    return peer;
  }

  /** Reading a certificate is dear, and it cannot change while the connection lives. */
  #meet(socket: TLSSocket): KnownPeer | undefined {
    if (!socket.authorized) return undefined;
    const { raw, subject, serialNumber } = socket.getPeerCertificate();
    if (!((raw as unknown) instanceof Uint8Array)) return undefined;
    const control = new AbortController();
    const name = Array.isArray(subject.CN) ? subject.CN[0] : subject.CN;
    return {
      caller: {
        name: String(name ?? ""),
        serial: serialNumber,
        roles: readRoles(raw, this.#roleOid),
      },
      der: raw,
      control,
      access: control.signal,
      standing: this.#trust.standing(raw, Date.now()),
      trust: this.#trust,
      refusal: undefined,
    };
  }

  #judge(peer: KnownPeer, nowMs: number): void {
    if (peer.trust !== this.#trust) {
      peer.trust = this.#trust;
      peer.standing = this.#trust.standing(peer.der, nowMs);
    }
    if (peer.standing.kind === "good" && peer.standing.expiresAtMs <= nowMs) {
      peer.standing = EXPIRED;
    }
    if (peer.standing.kind === "good" || peer.access.aborted) return;
    refuse(
      peer,
      peer.standing.reason,
      new JobError(
        "unauthenticated",
        `the certificate ${peer.caller.serial} of ${peer.caller.name} ${peer.standing.reason}; ` +
          "ask for a new one",
      ),
    );
  }

  /** A connection that cannot be judged is closed, and none keeps the others from being judged. */
  #sweep(): void {
    const nowMs = Date.now();
    for (const session of this.#sessions) this.#examine(session, nowMs);
  }

  #examine(session: Http2Session, nowMs: number): void {
    try {
      const peer = this.identify(session) as KnownPeer | undefined;
      if (peer?.refusal === undefined) return;
      if (nowMs - peer.refusal.atMs >= CLOSE_DELAY_MS) this.#end(session, peer);
    } catch (error) {
      log.error("a connection cannot be judged and is closed", { error: messageOf(error) });
      session.destroy();
    }
  }

  #end(session: Http2Session, { caller, refusal }: KnownPeer): void {
    this.#sessions.delete(session);
    const reason = refusal?.reason;
    log.warn("a connection is closed", { who: caller.name, serial: caller.serial, reason });
    session.destroy();
  }
}

/** @param reason For the log; @param error For the caller. */
function refuse(peer: KnownPeer, reason: string, error: JobError): void {
  peer.refusal = { atMs: Date.now(), reason };
  peer.control.abort(error);
}
