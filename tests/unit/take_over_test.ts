/** How a long stream goes over to its second connection: no byte is lost, whatever comes first. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import type { BulkRequest } from "../../client/connection/bulk/connection.ts";
import { ConnectionLostError, GrpcStatus } from "../../client/errors.ts";
import { OutputPosition } from "../../client/jobs/output_position.ts";
import { readByTwo } from "../../client/jobs/read_stream.ts";
import { ANSWER_TIMEOUT_MS, BULK_AFTER_BYTES } from "../../client/jobs/take_over.ts";
import { type Deferred, deferred } from "../../common/deferred.ts";
import type { StreamResponse__Output } from "../../proto/contract.ts";
import { FakeConnection, type FakeStream } from "../support/fake_connection.ts";
import { FakeTime } from "../support/fake_time.ts";

/** Brings so much that a second connection is begun. */
const LONG = "x".repeat(BULK_AFTER_BYTES);

/** A second connection, whose messages the test sends. */
class FakeSecond implements Disposable {
  isClosed = false;
  options: BulkRequest | undefined;
  readonly #ended = deferred<void>();

  read(options: BulkRequest): Promise<void> {
    this.options = options;
    options.signal.addEventListener("abort", () => this.end());
    return this.#ended.promise;
  }

  send(offset: number, text: string, isLast = false): void {
    const message = { offset, output: Buffer.from(text), gapBytes: 0, timeMs: 0, isLast };
    try {
      this.options?.onMessage(message as StreamResponse__Output);
    } catch (error) {
      this.#ended.reject(error);
    }
  }

  /** Refused, broken or read to its end: the caller cannot tell. */
  end(): void {
    this.#ended.resolve();
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.end();
  }
}

/** A read that is under way. */
class World implements Disposable {
  readonly time = new FakeTime();
  readonly connection = new FakeConnection();
  readonly second = new FakeSecond();
  readonly opening: Deferred<FakeSecond | undefined> = deferred();
  readonly taken: string[] = [];
  readonly abort = new AbortController();
  isFull = false;
  onTake = () => {};
  opens = 0;
  result: boolean | Error | "reading" = "reading";

  constructor() {
    const position = new OutputPosition({ jobID: "x", follow: true }, {
      take: (bytes, offset) => {
        this.taken.push(`${offset}: ${new TextDecoder().decode(bytes).slice(0, 3)}`);
        this.onTake();
      },
      skip: (gapBytes) => this.taken.push(`gap of ${gapBytes}`),
    });
    readByTwo(this.connection, {
      request: () => position.request(),
      heartbeatSeconds: 10,
      onMessage: (message) => position.take(message),
      room: () => this.isFull ? new Promise(() => {}) : undefined,
      signal: this.abort.signal,
    }, () => {
      this.opens++;
      return this.opening.promise;
    }).then((isRead) => this.result = isRead, (error) => this.result = error);
  }

  get first(): FakeStream {
    const [stream] = this.connection.streams;
    assert(stream !== undefined);
    return stream;
  }

  /** The first has brought so much that the second is begun; both are open. */
  async bringBoth(): Promise<number> {
    this.first.send(0, LONG);
    this.opening.resolve(this.second);
    await this.time.settle();
    assert.equal(this.second.options?.request.offset, LONG.length);
    assert.equal(this.first.isCancelled, false);
    return LONG.length;
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

Deno.test("take-over: the first stream goes on, held, until the second has answered", async () => {
  using world = new World();
  world.first.send(0, LONG.slice(1));
  assert.deepEqual([world.opens, world.connection.holds], [0, []]);
  const begin = LONG.length - 1;
  world.first.send(begin, "ab");
  world.first.send(begin + 2, "cd");
  assert.deepEqual([world.opens, world.connection.holds], [1, ["held"]]);
  world.opening.resolve(world.second);
  await world.time.settle();
  assert.equal(world.second.options?.request.offset, begin + 4);
  world.first.send(begin + 4, "ef");
  assert.equal(world.first.isCancelled, false);
  world.second.send(begin + 4, "efgh");
  await world.time.settle();
  assert.equal(world.first.isCancelled, true);
  world.first.send(begin + 6, "never taken");
  world.second.send(begin + 8, "", true);
  world.second.end();
  await world.time.settle();
  assert.deepEqual(world.taken.slice(1), [
    `${begin}: ab`,
    `${begin + 2}: cd`,
    `${begin + 4}: ef`,
    `${begin + 6}: gh`,
  ]);
  assert.deepEqual([world.result, world.second.isClosed], [true, true]);
  assert.deepEqual(world.connection.holds, ["held", "released"]);
  assert.deepEqual([world.connection.streams.length, world.time.pendingCount], [1, 0]);
});

Deno.test("take-over: where the second is refused, or the job removed by then, the first brings the rest", async () => {
  using world = new World();
  const next = await world.bringBoth();
  world.second.end();
  await world.time.settle();
  assert.deepEqual(world.connection.holds, ["held", "goes on"]);
  world.first.send(next, "abc");
  world.first.emit("end");
  await world.time.settle();
  assert.deepEqual([world.result, world.taken.at(-1)], [true, `${next}: abc`]);
  assert.deepEqual([world.connection.streams.length, world.opens], [1, 1]);
});

Deno.test("take-over: where no second connection can be made, the first brings the rest", async () => {
  using world = new World();
  world.first.send(0, LONG);
  world.opening.resolve(undefined);
  await world.time.settle();
  assert.deepEqual(world.connection.holds, ["held", "goes on"]);
  world.first.send(LONG.length, LONG);
  world.first.emit("end");
  await world.time.settle();
  assert.deepEqual([world.result, world.opens, world.first.isCancelled], [true, 1, true]);
});

Deno.test("take-over: a second that does not answer in time is not waited for, but may come later", async () => {
  using world = new World();
  const next = await world.bringBoth();
  await world.time.advance(ANSWER_TIMEOUT_MS);
  assert.deepEqual(world.connection.holds, ["held", "goes on"]);
  world.first.send(next, "abc");
  world.second.send(next, "abcd");
  await world.time.settle();
  assert.equal(world.first.isCancelled, true);
  assert.deepEqual(world.taken.slice(1), [`${next}: abc`, `${next + 3}: d`]);
});

Deno.test("take-over: a second that never answers is given up, and the first goes on", async () => {
  using world = new World();
  const next = await world.bringBoth();
  for (let seconds = 0; seconds < 30; seconds += 10) {
    world.first.send(next, "");
    await world.time.advance(10_000);
  }
  assert.equal(world.second.options?.signal.aborted, true);
  world.first.send(next, "abc");
  world.first.emit("end");
  await world.time.settle();
  assert.deepEqual([world.result, world.taken.at(-1)], [true, `${next}: abc`]);
});

Deno.test("take-over: a first stream that ends before the second is there is all", async () => {
  for (const isOpen of [false, true]) {
    using world = new World();
    if (isOpen) await world.bringBoth();
    else world.first.send(0, LONG);
    world.first.emit("end");
    await world.time.settle();
    world.opening.resolve(world.second);
    await world.time.settle();
    assert.deepEqual([world.result, world.second.isClosed], [true, true]);
    assert.equal(world.second.options !== undefined, isOpen);
    assert.equal(world.time.pendingCount, 0);
  }
});

Deno.test("take-over: a first stream that breaks before the answer is a lost connection", async () => {
  using world = new World();
  await world.bringBoth();
  world.first.fail(GrpcStatus.unavailable, "Connection dropped");
  await world.time.settle();
  assert(world.result instanceof ConnectionLostError);
  assert.equal(world.second.isClosed, true);
});

Deno.test("take-over: a second that breaks behind its answer leaves the rest to the first connection", async () => {
  using world = new World();
  const next = await world.bringBoth();
  world.second.send(next, "abc");
  world.second.end();
  await world.time.settle();
  assert.deepEqual([world.result, world.first.isCancelled], [false, true]);
  assert.deepEqual(world.connection.holds, ["held", "released"]);
});

Deno.test("take-over: an abort ends both, in each phase", async () => {
  for (const phase of ["before", "opening", "asked", "answered"]) {
    using world = new World();
    if (phase === "opening") world.first.send(0, LONG);
    if (phase === "asked" || phase === "answered") await world.bringBoth();
    if (phase === "answered") world.second.send(LONG.length, "abc");
    await world.time.settle();
    world.abort.abort(new Error("enough"));
    await world.time.settle();
    assert.match(String(world.result), /enough/, phase);
    world.opening.resolve(world.second);
    await world.time.settle();
    assert.equal(world.first.isCancelled, true);
    assert.equal(world.second.isClosed, phase !== "before");
    assert.equal(world.time.pendingCount, 0, phase);
  }
});

Deno.test("take-over: a failure of the sink ends both, whoever brings the bytes", async () => {
  for (const isSecond of [false, true]) {
    using world = new World();
    const next = await world.bringBoth();
    world.onTake = () => {
      throw new Error("the disk is full");
    };
    if (isSecond) world.second.send(next, "abc");
    else world.first.send(next, "abc");
    await world.time.settle();
    assert.match(String(world.result), /the disk is full/);
    assert.deepEqual([world.first.isCancelled, world.second.isClosed], [true, true]);
  }
});

Deno.test("take-over: a full sink waits for the second's answer, and where none comes ends the first", async () => {
  using world = new World();
  world.isFull = true;
  world.first.send(0, "abc");
  assert.deepEqual([world.opens, world.connection.holds], [1, ["held"]]);
  world.first.send(3, "def");
  world.opening.resolve(world.second);
  await world.time.settle();
  assert.equal(world.first.isCancelled, false);
  assert.equal(world.second.options?.room?.(), undefined, "the answer has to be read");
  world.second.send(6, "ghi");
  await world.time.settle();
  assert.equal(world.first.isCancelled, true);
  assert.notEqual(world.second.options?.room?.(), undefined);

  using alone = new World();
  alone.isFull = true;
  alone.first.send(0, "abc");
  alone.opening.resolve(undefined);
  await alone.time.settle();
  alone.first.send(3, "def");
  await alone.time.settle();
  assert.deepEqual([alone.result, alone.first.isCancelled], [false, true]);
  assert.deepEqual(alone.taken, ["0: abc", "3: def"]);
});
