/**
 * Keeps a listening socket at work, and knows whether it is: the runtime stops to accept connections
 * at the first error of accept(2), for good and in silence. So it is told to go on, several times a
 * second, and the server connects to itself where nobody else has connected lately.
 */
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import { log } from "../log.ts";
import { acceptAgain, connectToItself, type OwnConnection } from "./internals.ts";

/**
 * How often the runtime is told to accept. A client waits no longer than this after an error; it
 * costs some 6 microseconds of processor time each.
 */
const ACCEPT_INTERVAL_MS = 100;

/** How long the server believes that it accepts connections, after it has accepted one. */
const BELIEF_MS = 10_000;

/**
 * Looks that a connection of the server's own has to be accepted. They are counted instead of the
 * time: a process that stood still has not looked meanwhile.
 */
const MAX_LOOKS = 10;

/** At most one failure in this time is logged, so that a flood does not fill the log. */
const LOG_INTERVAL_MS = 10_000;

/** Errors that accept(2) would have as well (errno(3) on Linux), and what helps. */
const EXHAUSTED: Readonly<Record<number, string>> = {
  12: "the host has no memory left for sockets",
  23: "the host has no file descriptor left: see fs.file-max in sysctl(8)",
  24:
    "the server has no file descriptor left: raise its limit (LimitNOFILE= in its unit), or lower " +
    "--max-connections",
  105: "the host has no memory left for sockets",
};

/** What is done with a listening socket; tests do it otherwise. */
export interface ListeningSocket {
  acceptAgain(): Promise<number | undefined>;
  connectToItself(): OwnConnection | number | undefined;
  /** Calls back for each connection, before anybody else sees it: true when it goes no further. */
  intercept(take: (socket: Pick<Socket, "remotePort" | "destroy">) => boolean): void;
}

/** The listening socket of an HTTP/2 server. */
export function listeningSocketOf(server: Http2SecureServer): ListeningSocket {
  return {
    acceptAgain: () => acceptAgain(server),
    connectToItself: () => connectToItself(server),
    intercept: (take) => {
      const emit = server.emit;
      // A listener could not keep the connection from the others: TLS would begin its handshake.
      server.emit = function (this: Http2SecureServer, event: string, ...values: unknown[]) {
        if (event === "connection" && take(values[0] as Socket)) return true;
        return Reflect.apply(emit, this, [event, ...values]) as boolean;
      };
    },
  };
}

const CANNOT_CONNECT =
  "the server cannot connect to its own address: look for a firewall rule, or restart the server";

/** Watches one listening socket. */
export class AcceptWatch implements Disposable {
  readonly #socket: ListeningSocket;
  readonly #onChange: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #acceptedMs = performance.now();
  /** The server's own connection while it waits, and the looks that it has had. */
  #own: OwnConnection | undefined;
  #looks = 0;
  #isAccepting = true;
  #loggedMs = -Infinity;
  #isLogged = false;

  /** @param onChange Called when {@linkcode isAccepting} has changed. */
  constructor(socket: ListeningSocket, onChange: () => void) {
    this.#socket = socket;
    this.#onChange = onChange;
    socket.intercept((connection) => this.#take(connection));
    this.#timer = setInterval(() => void this.#look(), ACCEPT_INTERVAL_MS);
  }

  /** Whether connections are accepted, as far as is known. */
  get isAccepting(): boolean {
    return this.#isAccepting;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#dropOwn();
  }

  #take(connection: Pick<Socket, "remotePort" | "destroy">): boolean {
    this.#acceptedMs = performance.now();
    if (this.#own === undefined || connection.remotePort !== this.#own.port) return false;
    connection.destroy();
    this.#dropOwn();
    return true;
  }

  async #look(): Promise<void> {
    const error = await this.#socket.acceptAgain();
    if (error === undefined) return;
    const problem = EXHAUSTED[error];
    if (problem !== undefined) return this.#conclude(problem);
    const isAccepting = this.#isBelieved() || this.#askItself();
    if (isAccepting !== undefined) this.#conclude(isAccepting ? undefined : CANNOT_CONNECT);
  }

  /** Whether a connection was accepted lately: anybody's tells as much as the server's own. */
  #isBelieved(): boolean {
    if (performance.now() - this.#acceptedMs >= BELIEF_MS) return false;
    this.#dropOwn();
    return true;
  }

  /** @returns false when the server's own connection was not accepted; undefined when it waits. */
  #askItself(): false | undefined {
    if (this.#own === undefined) {
      const own = this.#socket.connectToItself();
      if (typeof own === "number") return false;
      if (own === undefined) return undefined;
      this.#own = own;
      this.#looks = 0;
      void own.open();
      return undefined;
    }
    this.#looks++;
    if (this.#looks < MAX_LOOKS) return undefined;
    // The next look connects anew: this connection may be lost for another reason.
    this.#dropOwn();
    return false;
  }

  #dropOwn(): void {
    this.#own?.[Symbol.dispose]();
    this.#own = undefined;
  }

  #conclude(problem: string | undefined): void {
    const nowMs = performance.now();
    if (problem !== undefined && nowMs - this.#loggedMs >= LOG_INTERVAL_MS) {
      this.#loggedMs = nowMs;
      this.#isLogged = true;
      log.error("connections cannot be accepted", { problem });
    }
    if (problem === undefined && this.#isLogged) {
      this.#isLogged = false;
      log.info("connections are accepted again");
    }
    const isAccepting = problem === undefined;
    if (isAccepting === this.#isAccepting) return;
    this.#isAccepting = isAccepting;
    this.#onChange();
  }
}
