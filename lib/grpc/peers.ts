/** Who is at the other end of each connection, and whether they still have access. */
import type { Http2SecureServer, Http2Session, ServerHttp2Session } from "node:http2";
import { setImmediate } from "node:timers";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { type ClientTrust, EXPIRED, type Standing } from "../tls/client_trust.ts";
import { JobError, messageOf } from "../errors.ts";
import { socketOf } from "./internals.ts";
import { log } from "../log.ts";
import { type Caller, readRoles } from "../rbac.ts";

/** How often open connections are judged: calls end within this time after a revocation. */
const SWEEP_INTERVAL_MS = 1000;

/**
 * The time between the end of calls, which are told the reason, and the end of their connection.
 */
const CLOSE_DELAY_MS = 2000;

/** A character that is seen: without one in their names, users would be one and the same owner. */
const VISIBLE = /[^\p{Z}\p{C}]/u;

/** The other end of a connection. */
export interface Peer {
  readonly caller: Caller;
  /** Aborted, with a {@link JobError} as the reason, when access is lost. */
  readonly access: AbortSignal;
}

interface KnownPeer extends Peer {
  readonly der: Uint8Array;
  /** What the client has sent with its certificate. */
  readonly sent: readonly Uint8Array[];
  readonly control: AbortController;
  standing: Standing;
  /** The trust that the standing was judged by. */
  trust: ClientTrust;
  refusal: { readonly atMs: number; readonly reason: string } | undefined;
}

/** What connections are judged by. */
export interface PeerWatchOptions {
  /** The OID of the extension that holds the roles. */
  readonly roleOid: string;
  /** Connections that one certificate name may have open; Infinity: no bound. */
  readonly maxConnectionsPerUser: number;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now?: () => number;
}

/** Judges peers: at each call, and while their connections are open. */
export class PeerWatch implements Disposable {
  readonly #roleOid: string;
  readonly #maxPerUser: number;
  readonly #now: () => number;
  readonly #peers = new WeakMap<Http2Session, KnownPeer>();
  readonly #sessions = new Set<Http2Session>();
  /** Open connections of each user, by the certificate's name. */
  readonly #open = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #trust: ClientTrust;

  /** @param trust Which certificates are trusted, until {@link trustOnly} is called. */
  constructor(
    trust: ClientTrust,
    { roleOid, maxConnectionsPerUser, now = Date.now }: PeerWatchOptions,
  ) {
    this.#trust = trust;
    this.#roleOid = roleOid;
    this.#maxPerUser = maxConnectionsPerUser;
    this.#now = now;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS);
  }

  /**
   * Watches the connections of a server. A certificate is read while the client is still busy with
   * the handshake, so that its first call does not wait for that.
   */
  watch(server: Pick<Http2SecureServer, "on">): void {
    server.on("session", (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      setImmediate(() => this.#sessions.has(session) && this.#examine(session));
    });
  }

  /** Judges by another trust from now on, open connections included. */
  trustOnly(trust: ClientTrust): void {
    this.#trust = trust;
    this.#sweep();
  }

  /**
   * Identifies who is at the other end, judged by the trust in force.
   *
   * @returns Undefined where there is no certificate, or the connection is gone.
   */
  identify(session: Http2Session | undefined): Peer | undefined {
    const socket = socketOf(session);
    if (session === undefined || socket === undefined) return undefined;
    const known = this.#peers.get(session) ?? this.#admit(session, this.#meet(socket));
    if (known !== undefined) this.#judge(known);
    return known;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Counts a connection while it is open, and refuses one above the bound. */
  #admit(session: Http2Session, peer: KnownPeer | undefined): KnownPeer | undefined {
    if (peer === undefined) return undefined;
    this.#peers.set(session, peer);
    const { name, serial } = peer.caller;
    if (!VISIBLE.test(name)) {
      const reason = "has no common name, which tells users apart";
      const details = `the certificate ${serial} ${reason}; ask for one with a name`;
      this.#refuse(peer, reason, new JobError("unauthenticated", details));
    }
    if (session.destroyed) return peer;
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
      this.#refuse(
        peer,
        reason,
        new JobError("exhausted", `${name} ${reason}; end some, or share one`),
      );
    }
    return peer;
  }

  /** Reads the certificate of a connection; done once, since it is expensive and cannot change. */
  #meet(socket: TLSSocket): KnownPeer | undefined {
    const holder = holderOf(socket);
    if (holder === undefined) return undefined;
    const { name, serial, raw, sent } = holder;
    const control = new AbortController();
    return {
      caller: { name, serial, roles: readRoles(raw, this.#roleOid) },
      der: raw,
      sent,
      control,
      access: control.signal,
      standing: this.#trust.standing(raw, this.#now(), sent),
      trust: this.#trust,
      refusal: undefined,
    };
  }

  #judge(peer: KnownPeer): void {
    const nowMs = this.#now();
    if (peer.trust !== this.#trust) {
      peer.trust = this.#trust;
      peer.standing = this.#trust.standing(peer.der, nowMs, peer.sent);
    }
    if (peer.standing.kind === "good" && peer.standing.expiresAtMs <= nowMs) {
      peer.standing = EXPIRED;
    }
    if (peer.standing.kind === "good" || peer.access.aborted) return;
    this.#refuse(
      peer,
      peer.standing.reason,
      new JobError(
        "unauthenticated",
        `the certificate ${peer.caller.serial} of ${peer.caller.name} ${peer.standing.reason}; ` +
          "ask for a new one",
      ),
    );
  }

  #sweep(): void {
    for (const session of this.#sessions) this.#examine(session);
  }

  /** Never throws, so that one bad connection does not keep the others from being judged. */
  #examine(session: Http2Session): void {
    try {
      const peer = this.identify(session) as KnownPeer | undefined;
      if (peer?.refusal === undefined) return;
      if (this.#now() - peer.refusal.atMs >= CLOSE_DELAY_MS) this.#end(session, peer);
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

  /** @param reason For the log; @param error For the caller. */
  #refuse(peer: KnownPeer, reason: string, error: JobError): void {
    peer.refusal = { atMs: this.#now(), reason };
    peer.control.abort(error);
  }
}

/** Certificates that a client sends after its own are looked at, the first ones. */
const MAX_SENT = 8;

/** Whom the certificate of a connection is for. */
export interface Holder {
  readonly name: string;
  readonly serial: string;
  readonly raw: Uint8Array;
  /** The certificates that were sent after it; nobody has vouched for them. */
  readonly sent: readonly Uint8Array[];
}

/** Whom the certificate of a connection is for; undefined where there is none that is accepted. */
export function holderOf(
  socket: Pick<TLSSocket, "authorized" | "getPeerCertificate">,
): Holder | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate(true);
  const { raw, subject, serialNumber } = certificate;
  if (!((raw as unknown) instanceof Uint8Array)) return undefined;
  const name = Array.isArray(subject.CN) ? subject.CN[0] : subject.CN;
  const sent: Uint8Array[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = certificate.issuerCertificate;
  while (next?.raw !== undefined && sent.length < MAX_SENT) {
    sent.push(next.raw);
    // The last one is its own issuer, in some runtimes.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return { name: String(name ?? ""), serial: serialNumber, raw, sent };
}
