import assert from "node:assert/strict";
import {
  ClientError,
  ConnectionLostError,
  GrpcStatus,
  RefusedCallError,
} from "../../client/errors.ts";
import type { OutputOptions } from "../../client/jobs/read_output.ts";
import { readJobOutput } from "../../client/jobs/read_output.ts";
import { FakeConnection, type FakeStream } from "../support/fake_connection.ts";
import { FakeTime } from "../support/fake_time.ts";

/** A read that is under way, over connections that the test breaks. */
class World implements Disposable {
  readonly time = new FakeTime();
  readonly events: string[] = [];
  readonly connections: FakeConnection[] = [];
  /** What the sink does with bytes besides noting them. */
  onTake = () => {};
  room: (() => Promise<void> | undefined) | undefined;

  read(options: Partial<OutputOptions> = {}, signal?: AbortSignal) {
    const range = { jobID: "x", follow: true, retryForMs: 600_000, heartbeatSeconds: 10 };
    const reading = readJobOutput({ ...range, ...options }, {
      session: {
        connect: () => {
          const connection = new FakeConnection();
          this.connections.push(connection);
          return Promise.resolve(connection.asConnection);
        },
        isRetryable: (error) => error instanceof ConnectionLostError,
      },
      sink: {
        take: (bytes, offset) => {
          this.events.push(`${offset}: ${new TextDecoder().decode(bytes)}`);
          this.onTake();
        },
        skip: (gapBytes, offset) => this.events.push(`gap of ${gapBytes} before ${offset}`),
        lose: (offset) => this.events.push(`lost at ${offset}`),
        resume: (offset) => this.events.push(`resumed at ${offset}`),
        ...(this.room && { room: this.room }),
      },
      signal,
    });
    reading.catch(() => {
      // The test awaits it, perhaps later.
    });
    return reading;
  }

  /** Fails unless the read has ended. */
  async ends(reading: Promise<void>): Promise<void> {
    const running = Symbol("running");
    await this.time.settle();
    const first = await Promise.race([reading, Promise.resolve(running)]);
    assert.notEqual(first, running, "it still reads");
  }

  /** The last stream that was requested. */
  async stream(count = 1): Promise<FakeStream> {
    await this.time.settle();
    const streams = this.connections.flatMap(({ streams }) => streams);
    assert.equal(streams.length, count, "streams");
    const last = streams.at(-1);
    assert(last !== undefined);
    return last;
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

Deno.test("readJobOutput: reads one stream to its end", async () => {
  using world = new World();
  const reading = world.read();
  const stream = await world.stream();
  assert.deepEqual(stream.request, {
    jobID: "x",
    noFollow: false,
    offset: 0,
    heartbeatSeconds: 10,
  });
  stream.send(0, "abc");
  stream.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events, ["0: abc"]);
  assert.equal(world.connections[0]?.isClosed, true);
  assert.equal(world.time.pendingCount, 0, "timers are left");
});

Deno.test("readJobOutput: continues at the next byte after a broken connection", async () => {
  using world = new World();
  const reading = world.read();
  const first = await world.stream();
  first.send(0, "abc");
  first.fail(GrpcStatus.unavailable, "Connection dropped");
  await world.time.settle();
  assert.deepEqual(world.events, ["0: abc", "lost at 3"]);
  await world.time.advance(250);
  const second = await world.stream(2);
  assert.equal(second.request.offset, 3);
  second.send(3, "de");
  second.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events, ["0: abc", "lost at 3", "resumed at 3", "3: de"]);
});

Deno.test("readJobOutput: a job that is removed while it is read is said to be that", async () => {
  using world = new World();
  const reading = world.read();
  const first = await world.stream();
  first.send(0, "abc");
  first.fail(GrpcStatus.unavailable, "Connection dropped");
  await world.time.advance(250);
  (await world.stream(2)).fail(GrpcStatus.notFound, "No job has the id x");
  await assert.rejects(
    reading,
    /was removed while its output was read: what there was from byte 3/,
  );
  const unknown = world.read();
  (await world.stream(3)).fail(GrpcStatus.notFound, "No job has the id x");
  await assert.rejects(unknown, /No job has the id x/);
});

Deno.test("readJobOutput: bytes that a resumed stream repeats are passed on once", async () => {
  using world = new World();
  const reading = world.read();
  const first = await world.stream();
  first.send(0, "abc");
  first.fail(GrpcStatus.unavailable, "Connection dropped");
  await world.time.advance(250);
  const second = await world.stream(2);
  second.send(1, "bcd");
  second.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events, ["0: abc", "lost at 3", "resumed at 3", "3: d"]);
});

Deno.test("readJobOutput: a gap that arose while the connection was broken is told", async () => {
  using world = new World();
  const reading = world.read();
  const first = await world.stream();
  first.send(0, "abc");
  first.fail(GrpcStatus.unavailable, "Connection dropped");
  await world.time.advance(250);
  const second = await world.stream(2);
  second.send(9, "j", 6);
  second.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events.slice(-3), ["resumed at 3", "gap of 6 before 9", "9: j"]);
});

Deno.test("readJobOutput: a loss is told once, however many tries fail", async () => {
  using world = new World();
  const reading = world.read({ tailLines: 5 });
  for (let count = 1; count <= 4; count++) {
    (await world.stream(count)).fail(GrpcStatus.unavailable, "Connection dropped");
    await world.time.advance(5_000);
  }
  const last = await world.stream(5);
  assert.equal(last.request.tailLines, 5, "a tail that brought nothing is requested again");
  last.send(40, "x");
  last.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events, ["lost at undefined", "resumed at 40", "40: x"]);
});

Deno.test("readJobOutput: output gives the next loss the whole time for retries, and is told once", async () => {
  using world = new World();
  const reading = world.read({ retryForMs: 1_000 });
  for (let count = 1; count <= 4; count++) {
    const stream = await world.stream(count);
    stream.send(2 * count - 2, "a");
    stream.send(2 * count - 1, "b");
    stream.fail(GrpcStatus.unavailable, "Connection dropped");
    await world.time.advance(600);
  }
  (await world.stream(5)).emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events.slice(0, 7), [
    "0: a",
    "1: b",
    "lost at 2",
    "resumed at 2",
    "2: a",
    "3: b",
    "lost at 4",
  ]);
});

Deno.test("readJobOutput: gives up when the time for retries is over", async () => {
  using world = new World();
  const reading = world.read({ retryForMs: 1_000 });
  let count = 0;
  for (let elapsedMs = 0; elapsedMs < 3_000; elapsedMs += 50) {
    await world.time.settle();
    const streams = world.connections.flatMap(({ streams }) => streams);
    if (streams.length > count) streams.at(-1)?.fail(GrpcStatus.unavailable, "Connection dropped");
    count = streams.length;
    await world.time.advance(50);
  }
  await assert.rejects(world.ends(reading), ConnectionLostError);
  assert(count >= 2 && count <= 6, `${count} tries within a second`);
});

Deno.test("readJobOutput: without retries the first loss is the end, and is not told", async () => {
  using world = new World();
  const reading = world.read({ retryForMs: 0 });
  (await world.stream()).fail(GrpcStatus.unavailable, "Connection dropped");
  await assert.rejects(
    world.ends(reading),
    /^ConnectionLostError: Lost the connection to localhost:1: /,
  );
  assert.deepEqual(world.events, []);
});

for (const code of [GrpcStatus.notFound, GrpcStatus.permissionDenied, GrpcStatus.dataLoss]) {
  Deno.test(`readJobOutput: a refusal with gRPC status ${code} is not tried again`, async () => {
    using world = new World();
    const reading = world.read();
    (await world.stream()).fail(code, "no");
    await assert.rejects(world.ends(reading), RefusedCallError);
    await world.time.advance(60_000);
    await world.stream(1);
  });
}

Deno.test("readJobOutput: three missed heartbeats are a lost connection", async () => {
  using world = new World();
  const reading = world.read({ retryForMs: 0 });
  const stream = await world.stream();
  await world.time.advance(29_000);
  stream.send(0, "");
  await world.time.advance(29_000);
  assert.equal(stream.isCancelled, false);
  await world.time.advance(1_000);
  await assert.rejects(world.ends(reading), /no data and no heartbeat for 30 seconds/);
  assert.equal(stream.isCancelled, true);
});

Deno.test("readJobOutput: a failure of the sink ends it, and nothing more arrives", async () => {
  using world = new World();
  world.onTake = () => {
    throw new ClientError("the disk is full", 1);
  };
  const reading = world.read();
  const stream = await world.stream();
  stream.send(0, "abc");
  stream.send(3, "def");
  await assert.rejects(world.ends(reading), /the disk is full/);
  assert.equal(stream.isCancelled, true);
  assert.deepEqual(world.events, ["0: abc"]);
});

Deno.test("readJobOutput: an abort ends it with the signal's reason, also between two tries", async () => {
  for (const isBroken of [false, true]) {
    using world = new World();
    const abort = new AbortController();
    const reading = world.read({}, abort.signal);
    const stream = await world.stream();
    if (isBroken) stream.fail(GrpcStatus.unavailable, "Connection dropped");
    await world.time.settle();
    abort.abort(new Error("enough"));
    await assert.rejects(world.ends(reading), /enough/);
    await world.time.advance(60_000);
    await world.stream(1);
  }
});

Deno.test("readJobOutput: a full sink cancels the stream, which continues when there is room", async () => {
  using world = new World();
  let full: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  world.room = () => full?.promise;
  const reading = world.read();
  const first = await world.stream();
  first.send(0, "abc");
  first.send(3, "never taken");
  await world.time.settle();
  assert.equal(first.isCancelled, true);
  await world.time.advance(600_000);
  await world.stream(1);
  const { resolve } = full;
  full = undefined;
  resolve();
  const second = await world.stream(2);
  assert.equal(second.request.offset, 3);
  second.emit("end");
  await world.ends(reading);
  assert.deepEqual(world.events, ["0: abc"]);
});
