/** The HTTP server over connections in memory, and time that the test moves. */
import { strict as assert } from "node:assert";
import { HttpServer, type HttpServerOptions } from "../../common/http_server.ts";
import { FakeTime } from "../support/fake_time.ts";

/** A client's connection, as the server sees it. */
class FakeConnection {
  answer = "";
  isClosed = false;
  /** While it is set, nothing can be written. */
  isFull = false;
  readonly #parts: string[] = [];
  #wake: (error?: Error) => void = () => {};
  #isEnded = false;

  /** What the client sends. */
  send(text: string): this {
    this.#parts.push(text);
    this.#wake();
    return this;
  }

  /** The client sends no more. */
  end(): this {
    this.#isEnded = true;
    this.#wake();
    return this;
  }

  setNoDelay(): void {}

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.isClosed) throw new Deno.errors.BadResource("closed");
      const part = this.#parts.shift();
      if (part !== undefined) {
        buffer.set(new TextEncoder().encode(part));
        return part.length;
      }
      if (this.#isEnded) return null;
      await new Promise<void>((resolve) => this.#wake = () => resolve());
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    // As in the runtime: the end of a connection does not end a write that waits for the client.
    if (this.isFull) await new Promise(() => {});
    if (this.isClosed) throw new Deno.errors.BadResource("closed");
    this.answer += new TextDecoder().decode(bytes);
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.isClosed = true;
    this.#wake();
  }
}

/** The runtime's listening socket. */
class FakeListener implements Disposable {
  readonly #listen = Deno.listen;
  readonly #waiting: (FakeConnection | Error)[] = [];
  #wake: () => void = () => {};
  isClosed = false;

  constructor() {
    Deno.listen = ((options: { port: number }) => ({
      addr: { port: options.port || 4711 },
      accept: async () => {
        for (;;) {
          if (this.isClosed) throw new Deno.errors.BadResource("closed");
          const next = this.#waiting.shift();
          if (next instanceof Error) throw next;
          if (next !== undefined) return next;
          await new Promise<void>((resolve) => this.#wake = resolve);
        }
      },
      close: () => {
        this.isClosed = true;
        this.#wake();
      },
    })) as unknown as typeof Deno.listen;
  }

  /** A client that connects, and what it sends at once. */
  connect(text = ""): FakeConnection {
    const connection = new FakeConnection();
    if (text !== "") connection.send(text);
    this.#waiting.push(connection);
    this.#wake();
    return connection;
  }

  fail(): void {
    this.#waiting.push(new Error("Too many open files"));
    this.#wake();
  }

  [Symbol.dispose](): void {
    Deno.listen = this.#listen;
  }
}

function open(options: Partial<HttpServerOptions> = {}) {
  const failures: string[] = [];
  const server = new HttpServer({
    hostname: "127.0.0.1",
    port: 0,
    handle: async (request) =>
      new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`),
    onFailure: (error) => void failures.push((error as Error).message),
    ...options,
  });
  return { server, failures };
}

const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

Deno.test("HttpServer: answers one request, and closes", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const { server } = open();
  assert.equal(server.port, 4711);
  const client = listener.connect(GET);
  await time.settle();
  assert.match(client.answer, /^HTTP\/1\.1 200 OK\r\nconnection: close\r\n/);
  assert.match(client.answer, /\r\n\r\n7\r\nGET \/a \r\n0\r\n\r\n$/);
  assert(!client.isClosed, "the client may still be reading");
  client.end();
  await time.settle();
  assert(client.isClosed);
  const other = listener.connect(GET);
  await time.settle();
  await time.advance(999);
  assert(!other.isClosed);
  await time.advance(1);
  assert(other.isClosed, "who does not close is closed");
  assert.equal(time.pendingCount, 0);
});

Deno.test("HttpServer: reads bodies of a length and in chunks, in whatever parts they come", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  open();
  const bodies = [
    "POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
  ];
  for (const text of bodies) {
    const whole = listener.connect(text);
    const parts = listener.connect();
    for (const character of text) parts.send(character);
    for (let turn = 0; turn < 5; turn++) await time.settle();
    for (const client of [whole, parts]) assert.match(client.answer, /POST \/b hello\r\n0/);
    for (const client of [whole, parts]) client.end();
  }
  const none = listener.connect("POST /b HTTP/1.0\r\n\r\n");
  await time.settle();
  assert.match(none.answer, /^[^]*\r\n\r\nPOST \/b $/, "HTTP/1.0 has no chunks");
});

Deno.test("HttpServer: what is no request is told so, and HEAD has no body", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  open();
  const bad = listener.connect("nonsense\r\n\r\n").end();
  const long = listener.connect(`GET / HTTP/1.1\r\nA: ${"x".repeat(20_000)}`).end();
  const head = listener.connect("HEAD / HTTP/1.1\r\n\r\n");
  await time.settle();
  assert.match(bad.answer, /^HTTP\/1\.1 400 Bad Request\r\n[^]*not an HTTP\/1\.1 request/);
  assert.match(long.answer, /^HTTP\/1\.1 400 [^]*too long/);
  assert.match(head.answer, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
});

Deno.test("HttpServer: a half-sent request is closed in time, its head before its body", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  open();
  const silent = listener.connect();
  const half = listener.connect("GET / HTTP/1.1\r\nHost: x\r\n");
  const body = listener.connect("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc");
  await time.settle();
  await time.advance(9_999);
  half.send("More: x\r\n");
  await time.settle();
  assert.deepEqual([silent, half, body].map(({ isClosed }) => isClosed), [false, false, false]);
  await time.advance(1);
  assert.deepEqual([silent, half, body].map(({ isClosed }) => isClosed), [true, true, false]);
  await time.advance(50_000);
  assert(body.isClosed);
  assert.equal(time.pendingCount, 0);
});

Deno.test("HttpServer: many who send nothing take the place of each other, and of nobody else", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  open();
  const silent = Array.from({ length: 100 }, () => listener.connect("GET"));
  await time.settle();
  assert(silent.every(({ isClosed }) => !isClosed));
  const honest = listener.connect(GET);
  for (let turn = 0; turn < 5; turn++) await time.settle();
  assert.match(honest.answer, /GET \/a/);
  assert.deepEqual(silent.filter(({ isClosed }) => isClosed), silent.slice(0, 1));
});

Deno.test("HttpServer: all connections together are bounded", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  open({ handle: () => new Promise(() => {}) });
  const clients: FakeConnection[] = [];
  for (let batch = 0; batch < 10; batch++) {
    clients.push(...Array.from({ length: 50 }, () => listener.connect(GET)));
    await time.settle();
  }
  assert(clients.every(({ isClosed }) => !isClosed));
  const late = listener.connect(GET);
  await time.settle();
  assert(late.isClosed);
});

Deno.test("HttpServer: an answer that nobody reads is ended where that is asked for", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const { server } = open({ answerTimeoutMs: 30_000 });
  const client = listener.connect();
  client.isFull = true;
  client.send(GET);
  await time.settle();
  await time.advance(29_999);
  assert(!client.isClosed);
  await time.advance(1);
  assert(client.isClosed);
  await server.close();
});

Deno.test("HttpServer: a stream that nobody reads ends for the handler when its server ends", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const leave = new AbortController();
  const ends: string[] = [];
  const { server } = open({
    signal: leave.signal,
    handle: () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
          cancel: () => void ends.push("cancelled"),
        }),
      ),
  });
  const client = listener.connect();
  client.isFull = true;
  client.send(GET);
  await time.settle();
  leave.abort();
  assert(client.isClosed);
  await server.close();
  assert.deepEqual(ends, ["cancelled"]);
});

Deno.test("HttpServer: a stream ends for the handler when its client has gone", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const ends: string[] = [];
  open({
    handle: (request) => {
      request.signal.addEventListener("abort", () => ends.push("signal"));
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
          cancel: () => void ends.push("cancelled"),
        }),
      );
    },
  });
  const client = listener.connect(GET);
  await time.settle();
  assert.match(client.answer, /5\r\nfirst\r\n$/);
  await time.advance(3_600_000);
  assert(!client.isClosed, "a stream may last");
  client.end();
  await time.settle();
  assert.deepEqual(ends.sort(), ["cancelled", "signal"]);
  assert.doesNotMatch(client.answer, /\r\n0\r\n\r\n$/, "a cut stream must not look whole");
});

Deno.test("HttpServer: goes on after connections that it could not accept", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const { failures } = open();
  listener.fail();
  listener.fail();
  const client = listener.connect(GET);
  await time.settle();
  await time.advance(249);
  assert.deepEqual([failures.length, client.answer], [1, ""]);
  await time.advance(1);
  await time.advance(250);
  assert.equal(failures.length, 2);
  assert.match(client.answer, /GET \/a/);
});

Deno.test("HttpServer: close waits for answers, and for nobody who has not asked", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const { promise, resolve } = Promise.withResolvers<Response>();
  const { server } = open({ handle: () => promise });
  const [client, silent] = [listener.connect(GET), listener.connect()];
  await time.settle();
  let isClosed = false;
  const closed = server.close().then(() => isClosed = true);
  await time.settle();
  assert.deepEqual([listener.isClosed, silent.isClosed, isClosed], [true, true, false]);
  resolve(new Response("late"));
  client.end();
  await closed;
  assert.match(client.answer, /late/);
});

Deno.test("HttpServer: its signal ends everything at once", async () => {
  using time = new FakeTime();
  using listener = new FakeListener();
  const leave = new AbortController();
  const { server } = open({ signal: leave.signal, handle: () => new Promise(() => {}) });
  const clients = [listener.connect(GET), listener.connect()];
  await time.settle();
  leave.abort();
  assert(listener.isClosed && clients.every(({ isClosed }) => isClosed));
  void server;
});

Deno.test("HttpServer: an address that cannot be listened on is the caller's to tell", () => {
  using _listener = new FakeListener();
  Deno.listen = () => {
    throw new Error("Address already in use");
  };
  assert.throws(() => open(), /Address already in use/);
});
