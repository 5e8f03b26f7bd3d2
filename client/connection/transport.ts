/** The HTTP/2 connection below all calls: `node:http2` over `node:tls`. */
import { lookup } from "node:dns/promises";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { OutgoingHttpHeaders } from "node:http2";
import net, { isIP } from "node:net";
import tls from "node:tls";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { CallTransport } from "./call.ts";
import { firstToSucceed } from "./first_to_succeed.ts";
import { tlsOptions } from "./tls_options.ts";

/** With the default of 64 KiB a stream is about half as fast. */
const WINDOW_BYTES = 8 * 1024 * 1024;

/** What Node may keep of one connection, in MB: a window that was filled, and more. This runtime has no bound. */
const MAX_SESSION_MEMORY_MB = 64;

/** How long one address of a name has before the next is tried beside it (RFC 8305, section 8). */
const NEXT_ADDRESS_AFTER_MS = 250;

/** A connection that the server has accepted. */
export class Transport implements CallTransport, Disposable {
  readonly #session: ClientHttp2Session;
  readonly #openCalls = new Set<() => void>();
  #isOpen = true;
  /** The server's certificate, which was verified; DER. */
  readonly certificate: Uint8Array | undefined;

  private constructor(session: ClientHttp2Session, certificate: Uint8Array | undefined) {
    this.#session = session;
    this.certificate = certificate;
    session.on("goaway", () => this.#isOpen = false);
    session.on("close", () => this.#drop());
    session.on("error", () => this.#drop());
    session.socket.once("close", () => this.#drop());
    // A program that has nothing else to do ends.
    session.unref();
  }

  /**
   * Connects to the first address of the server that answers.
   *
   * @param signal Ends the attempt.
   * @throws It cannot be reached, or one side does not trust the other; or the signal's reason.
   */
  static async open(endpoint: Endpoint, signal: AbortSignal): Promise<Transport> {
    const { host } = endpoint.address;
    const addresses = isIP(host) !== 0
      ? [host]
      : (await lookup(host, { all: true })).map(({ address }) => address);
    return await firstToSucceed(
      addresses.map((address) => (ended) => Transport.#openAt(endpoint, address, ended)),
      { nextAfterMs: NEXT_ADDRESS_AFTER_MS, signal },
    );
  }

  static #openAt(endpoint: Endpoint, address: string, signal: AbortSignal): Promise<Transport> {
    const { host, port } = endpoint.address;
    const { secureContext, servername, checkServerIdentity } = tlsOptions(endpoint);
    let certificate: Uint8Array | undefined;
    const tcp = net.connect({ host: address, port });
    tcp.setNoDelay(true);
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        reject(error);
        tcp.destroy();
      };
      signal.addEventListener("abort", () => fail(signal.reason), { once: true });
      tcp.on("error", fail);
      tcp.once("close", () => fail(new Error("Failed to connect")));
      tcp.once("connect", () => {
        const socket = tls.connect({
          socket: tcp,
          secureContext,
          servername,
          ALPNProtocols: ["h2"],
          checkServerIdentity: (name, peer) => {
            const problem = checkServerIdentity(name, peer);
            if (problem === undefined) certificate = peer.raw;
            return problem;
          },
        });
        socket.on("error", fail);
        socket.once("close", () => fail(new Error("Failed to connect")));
        socket.once("secureConnect", () => {
          if (!socket.authorized) return fail(socket.authorizationError);
          const session = startSession(
            `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
            socket,
          );
          session.once("error", fail);
          // The server says nothing to a client whose certificate it does not accept.
          session.once("remoteSettings", () => {
            session.setLocalWindowSize(WINDOW_BYTES);
            resolve(new Transport(session, certificate));
          });
        });
      });
    });
  }

  /** Whether it takes further calls. */
  get isOpen(): boolean {
    return this.#isOpen && !this.#session.closed && !this.#session.destroyed;
  }

  request(headers: OutgoingHttpHeaders, onDropped: () => void): ClientHttp2Stream {
    const stream = this.#session.request(headers);
    if (this.#openCalls.size === 0) this.#session.ref();
    this.#openCalls.add(onDropped);
    stream.once("close", () => {
      this.#openCalls.delete(onDropped);
      if (this.#openCalls.size === 0) this.#session.unref();
    });
    return stream;
  }

  /**
   * Lets the server send no more than what is left of its window, or all of it again. This runtime sends the
   * new window only along with the next request.
   */
  hold(isHeld: boolean): void {
    if (!this.#session.destroyed) this.#session.setLocalWindowSize(isHeld ? 0 : WINDOW_BYTES);
  }

  #drop(): void {
    this.#isOpen = false;
    for (const onDropped of this.#openCalls) onDropped();
    this.#openCalls.clear();
  }

  /** Closes it, and ends the calls on it. */
  [Symbol.dispose](): void {
    this.#drop();
    this.#session.destroy();
  }
}

function startSession(authority: string, socket: tls.TLSSocket): ClientHttp2Session {
  return http2.connect(authority, {
    createConnection: () => socket,
    settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    maxSessionMemory: MAX_SESSION_MEMORY_MB,
  });
}
