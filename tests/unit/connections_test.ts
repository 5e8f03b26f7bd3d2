/** Bounds on connections, over fake sockets and timers that the test fires. */
import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import { boundConnections, guardHandshakes } from "../../lib/grpc/connections.ts";

let nextPort = 1;

/** A socket that closes when it is destroyed. */
class FakeSocket extends EventEmitter {
  readonly remoteAddress = "192.0.2.1";
  destroyed = false;

  constructor(readonly remotePort = nextPort++, readonly protocol = "TLSv1.3") {
    super();
  }

  getProtocol(): string {
    return this.protocol;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }
}

/** A server to which the test connects; the reasons of refused connections are kept. */
function place() {
  const server = new EventEmitter();
  const reasons: string[] = [];
  return {
    reasons,
    refused: { addHandshake: (reason: string) => void reasons.push(reason) },
    server: server as never,
    connect(): FakeSocket {
      const socket = new FakeSocket();
      server.emit("connection", socket);
      return socket;
    },
    /** The handshake of a connection is complete: its TLS socket is another object. */
    secure({ remotePort }: FakeSocket, protocol?: string): FakeSocket {
      const socket = new FakeSocket(remotePort, protocol);
      server.emit("secureConnection", socket);
      return socket;
    },
  };
}

Deno.test("boundConnections: closes what is above the bound, and counts what is open", () => {
  const { server, refused, reasons, connect } = place();
  const connections = { open: 0 };
  boundConnections(server, { maxConnections: 2, refused, connections });
  const [first, second, third] = [connect(), connect(), connect()];
  assert.deepEqual([first, second, third].map(({ destroyed }) => destroyed), [false, false, true]);
  assert.deepEqual(reasons, ["2 connections are open, the most that --max-connections allows"]);
  assert.equal(connections.open, 2);
  first.destroy();
  assert(!connect().destroyed);
  assert(connect().destroyed);
  assert.equal(connections.open, 2);
});

Deno.test("boundConnections: Infinity is no bound", () => {
  const { server, refused, connect } = place();
  boundConnections(server, { maxConnections: Infinity, refused, connections: { open: 0 } });
  for (let count = 0; count < 1000; count++) assert(!connect().destroyed);
});

/** Timers of a test, which it fires by hand. */
class FakeTimeouts implements Disposable {
  readonly #set = globalThis.setTimeout;
  readonly #clear = globalThis.clearTimeout;
  readonly pending = new Map<number, { delayMs: number; fire: () => void }>();
  #next = 1;

  constructor() {
    globalThis.setTimeout = ((fire: () => void, delayMs: number) => {
      this.pending.set(this.#next, { delayMs, fire });
      return this.#next++;
    }) as typeof setTimeout;
    globalThis.clearTimeout = ((id: number) => void this.pending.delete(id)) as typeof clearTimeout;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
  }
}

Deno.test("guardHandshakes: a handshake that takes ten seconds is closed", () => {
  using timers = new FakeTimeouts();
  const { server, refused, reasons, connect } = place();
  guardHandshakes(server, { maxHandshakes: Infinity, refused });
  const socket = connect();
  assert.deepEqual([...timers.pending.values()].map(({ delayMs }) => delayMs), [10_000]);
  for (const { fire } of timers.pending.values()) fire();
  assert(socket.destroyed);
  assert.deepEqual(reasons, ["it took longer than 10 seconds"]);
});

Deno.test("guardHandshakes: a complete handshake, or a closed connection, has no timer any more", () => {
  using timers = new FakeTimeouts();
  const { server, refused, connect, secure } = place();
  guardHandshakes(server, { maxHandshakes: Infinity, refused });
  const secured = connect();
  const closed = connect();
  assert.equal(timers.pending.size, 2);
  assert(!secure(secured).destroyed);
  closed.destroy();
  assert.equal(timers.pending.size, 0);
  assert(!secured.destroyed);
});

Deno.test("guardHandshakes: another TLS version than 1.3 is closed", () => {
  using _timers = new FakeTimeouts();
  const { server, refused, connect, secure } = place();
  guardHandshakes(server, { maxHandshakes: Infinity, refused });
  for (const protocol of ["TLSv1.2", "TLSv1.1", ""]) {
    assert(secure(connect(), protocol).destroyed, protocol);
  }
});

Deno.test("guardHandshakes: only connections in their handshake count for the bound", () => {
  using _timers = new FakeTimeouts();
  const { server, refused, reasons, connect, secure } = place();
  guardHandshakes(server, { maxHandshakes: 2, refused });
  const [first, second, third] = [connect(), connect(), connect()];
  assert.deepEqual([first, second, third].map(({ destroyed }) => destroyed), [false, false, true]);
  assert.deepEqual(reasons, [
    "2 handshakes are in progress, the most that --max-handshakes allows",
  ]);
  secure(first);
  assert(!connect().destroyed);
  assert(connect().destroyed);
  second.destroy();
  assert(!connect().destroyed);
});
