/** The HTTP server that goes on, over a fake of the runtime's server and time that the test moves. */
import { strict as assert } from "node:assert";
import { HttpServer } from "../../common/http_server.ts";
import { FakeTime } from "../support/fake_time.ts";

/** The runtime's servers: each one that was made, and how to end it. */
class FakeRuntime implements Disposable {
  readonly #serve = Deno.serve;
  readonly ports: number[] = [];
  /** While it is set, nothing can be listened on. */
  error: Error | undefined;
  #fail: (error: Error) => void = () => {};

  constructor() {
    Deno.serve = ((options: { port: number }) => {
      if (this.error !== undefined) throw this.error;
      this.ports.push(options.port);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#fail = reject;
      return {
        addr: { port: options.port || 4711 },
        finished: promise,
        shutdown: () => Promise.resolve(resolve()),
      };
    }) as unknown as typeof Deno.serve;
  }

  /** The present server ends as when a connection cannot be accepted. */
  fail(): void {
    this.#fail(new Error("Too many open files"));
  }

  [Symbol.dispose](): void {
    Deno.serve = this.#serve;
  }
}

function open(options: { signal?: AbortSignal } = {}) {
  const failures: string[] = [];
  const server = new HttpServer({
    hostname: "127.0.0.1",
    port: 0,
    handle: () => new Response(),
    onFailure: (error) => void failures.push((error as Error).message),
    ...options,
  });
  return { server, failures };
}

Deno.test("HttpServer: listens again on the same port after the runtime's server has ended", async () => {
  using time = new FakeTime();
  using runtime = new FakeRuntime();
  const { server, failures } = open();
  assert.deepEqual([server.port, runtime.ports], [4711, [0]]);
  runtime.fail();
  await time.advance(249);
  assert.deepEqual([failures, runtime.ports], [["Too many open files"], [0]]);
  await time.advance(1);
  assert.deepEqual(runtime.ports, [0, 4711]);
  runtime.fail();
  await time.advance(250);
  assert.deepEqual(runtime.ports, [0, 4711, 4711]);
  await server.close();
  assert.equal(failures.length, 2);
});

Deno.test("HttpServer: tries until the port can be listened on", async () => {
  using time = new FakeTime();
  using runtime = new FakeRuntime();
  const { server, failures } = open();
  runtime.error = new Error("Too many open files");
  runtime.fail();
  await time.advance(5000);
  assert.deepEqual([runtime.ports, failures.length], [[0], 1]);
  runtime.error = undefined;
  await time.advance(250);
  assert.deepEqual(runtime.ports, [0, 4711]);
  await server.close();
});

Deno.test("HttpServer: listens no more when it is closed or its signal is aborted", async () => {
  using time = new FakeTime();
  using runtime = new FakeRuntime();
  const closed = open();
  runtime.fail();
  await time.settle();
  const end = closed.server.close();
  await time.advance(1000);
  await end;
  const leave = new AbortController();
  const aborted = open({ signal: leave.signal });
  leave.abort();
  runtime.fail();
  await time.advance(1000);
  await aborted.server.close();
  assert.deepEqual(aborted.failures, []);
  assert.deepEqual(runtime.ports, [0, 0]);
});

Deno.test("HttpServer: an address that cannot be listened on is the caller's to tell", () => {
  using runtime = new FakeRuntime();
  runtime.error = new Error("Address already in use");
  assert.throws(() => open(), /Address already in use/);
});
