/** One gRPC call of the client, on a stream in memory. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { setImmediate } from "node:timers/promises";
import { StreamingCall } from "../../client/connection/answer_stream.ts";
import { ask } from "../../client/connection/ask.ts";
import { Call, type CallTransport } from "../../client/connection/call.ts";
import { frameMessage } from "../../client/connection/messages.ts";
import { type CallStatus, GrpcStatus } from "../../client/errors.ts";
import { FakeTime } from "../support/fake_time.ts";

/** A stream of HTTP/2 as the runtime gives it to a client: a test plays the server. */
class FakeStream extends EventEmitter {
  readonly written: Uint8Array[] = [];
  readonly closes: number[] = [];
  rstCode = 0;
  closed = false;
  destroyed = false;
  isEnded = false;

  /** What is to be called when the connection has taken a message. */
  readonly onTaken: ((() => void) | undefined)[] = [];

  write(bytes: Uint8Array, onTaken?: () => void): void {
    this.written.push(bytes);
    this.onTaken.push(onTaken);
  }

  end(): void {
    this.isEnded = true;
  }

  close(code: number): void {
    this.closes.push(code);
  }

  resume(): void {}

  /** Ends the stream without a status. */
  finish(rstCode: number): void {
    this.rstCode = rstCode;
    this.closed = true;
    this.emit("close");
  }
}

/** A connection whose one stream a test answers. */
class World implements CallTransport {
  readonly stream = new FakeStream();
  readonly messages: string[] = [];
  readonly ends: CallStatus[] = [];
  headers: OutgoingHttpHeaders = {};
  drop = () => {};

  request(headers: OutgoingHttpHeaders, onDropped: () => void): ClientHttp2Stream {
    this.headers = headers;
    this.drop = onDropped;
    return this.stream as unknown as ClientHttp2Stream;
  }

  call(
    { timeoutMs, transport = this }: {
      timeoutMs?: number;
      transport?: CallTransport | Promise<CallTransport>;
    } = {},
  ): Call {
    return new Call(transport, {
      path: "/JobService/Query",
      timeoutMs,
      maxMessageBytes: 8,
      listener: {
        onMessage: (message) => this.messages.push(message.toString()),
        onEnd: (status) => this.ends.push(status),
      },
    });
  }

  answer(...texts: string[]): void {
    for (const text of texts) this.stream.emit("data", frameMessage(Buffer.from(text)));
  }
}

Deno.test("call: tells when a message was taken, also one that waited for the connection", async () => {
  const world = new World();
  const call = world.call({ transport: Promise.resolve(world) });
  const taken: string[] = [];
  call.send(Buffer.from("early"), () => taken.push("early"));
  await setImmediate();
  call.send(Buffer.from("late"), () => taken.push("late"));
  call.send(Buffer.from("no matter"));
  assert.deepEqual(taken, []);
  for (const onTaken of world.stream.onTaken) onTaken?.();
  assert.deepEqual(taken, ["early", "late"]);
});

Deno.test("call: the request is gRPC's, and its message framed", () => {
  const world = new World();
  const call = world.call({ timeoutMs: 1500.2 });
  call.send(Buffer.from("ask"));
  call.endSending();
  assert.equal(world.headers[":path"], "/JobService/Query");
  assert.equal(world.headers["content-type"], "application/grpc");
  assert.equal(world.headers["te"], "trailers");
  assert.equal(world.headers["grpc-timeout"], "1501m");
  assert.deepEqual(world.stream.written, [frameMessage(Buffer.from("ask"))]);
  assert.equal(world.stream.isEnded, true);
  call.cancel();
});

Deno.test("call: it ends with the status behind all messages, once", async () => {
  const world = new World();
  world.call();
  world.stream.emit("response", { ":status": 200 });
  world.stream.emit("trailers", { "grpc-status": "0" });
  assert.deepEqual(world.ends, [], "messages may still come");
  world.answer("one", "two");
  world.stream.emit("end");
  world.stream.finish(0);
  await setImmediate();
  assert.deepEqual(world.messages, ["one", "two"]);
  assert.deepEqual(world.ends, [{ code: 0, details: "" }]);
  assert.deepEqual(world.stream.closes, [], "a stream that the server has ended needs no reset");
});

Deno.test("call: a stream that closes behind its status has that status", async () => {
  const world = new World();
  world.call();
  world.stream.emit("trailers", { "grpc-status": "0" });
  world.stream.finish(0);
  await setImmediate();
  assert.deepEqual(world.ends, [{ code: 0, details: "" }]);
});

Deno.test("call: a refusal without a message is in the first headers", () => {
  const world = new World();
  world.call();
  world.stream.emit("response", {
    ":status": 200,
    "grpc-status": "5",
    "grpc-message": "no%20job%3A %C3%A4",
  });
  assert.deepEqual(world.ends, [{ code: GrpcStatus.notFound, details: "no job: ä" }]);
});

Deno.test("call: a message that is too long ends it, and nothing behind it is read", () => {
  const world = new World();
  world.call();
  world.stream.emit("response", { ":status": 200 });
  world.answer("123456789");
  world.answer("short");
  assert.equal(world.ends[0]?.code, GrpcStatus.resourceExhausted);
  assert.deepEqual(world.messages, []);
  assert.deepEqual(world.stream.closes, [8]);
});

Deno.test("call: an error page of another server is told by its HTTP status", () => {
  const world = new World();
  world.call();
  world.stream.emit("response", { ":status": 503 });
  world.stream.emit("data", Buffer.from("<html><body>Try later</body>"));
  assert.deepEqual(world.ends, [
    { code: GrpcStatus.unavailable, details: "Received HTTP status code 503" },
  ]);
});

Deno.test("call: an error page is told by its HTTP status also where its head is told of late", async () => {
  const [page, grpc] = [new World(), new World()];
  page.call();
  page.stream.emit("data", Buffer.from("<html><body>Try"));
  page.stream.emit("data", Buffer.from(" later</body>"));
  page.stream.emit("response", { ":status": 503 });
  grpc.call();
  grpc.stream.emit("data", Buffer.from("<html>"));
  grpc.stream.emit("response", { ":status": 200 });
  await setImmediate();
  assert.deepEqual(page.ends, [
    { code: GrpcStatus.unavailable, details: "Received HTTP status code 503" },
  ]);
  assert.deepEqual(grpc.ends, [
    { code: GrpcStatus.resourceExhausted, details: "a message is compressed" },
  ]);
});

Deno.test("call: what the listener throws ends it", () => {
  const ends: CallStatus[] = [];
  const world = new World();
  let taken = 0;
  new Call(world, {
    path: "/a/b",
    maxMessageBytes: 8,
    listener: {
      onMessage: () => {
        taken += 1;
        throw new Error("not a message");
      },
      onEnd: (status) => ends.push(status),
    },
  });
  const frames = ["one", "two"].map((text) => frameMessage(Buffer.from(text)));
  world.stream.emit("data", Buffer.concat(frames));
  assert.equal(taken, 1, "what came with it is not read");
  assert.deepEqual(ends, [
    { code: GrpcStatus.internal, details: "Response message parsing error: not a message" },
  ]);
});

Deno.test("call: a connection that is dropped is UNAVAILABLE, unless the answer was whole", async () => {
  const [cut, whole] = [new World(), new World()];
  cut.call();
  whole.call();
  cut.drop();
  whole.drop();
  whole.answer("all");
  whole.stream.emit("trailers", { "grpc-status": "0" });
  whole.stream.emit("end");
  await setImmediate();
  assert.deepEqual(cut.ends, [{ code: GrpcStatus.unavailable, details: "Connection dropped" }]);
  assert.deepEqual(whole.ends, [{ code: 0, details: "" }]);
});

Deno.test("call: a deadline ends it where the server does not", async () => {
  using time = new FakeTime();
  const world = new World();
  world.call({ timeoutMs: 100 });
  await time.advance(99);
  assert.equal(world.ends.length, 0);
  await time.advance(1);
  assert.equal(world.ends[0]?.code, GrpcStatus.deadlineExceeded);
  assert.deepEqual(world.stream.closes, [8]);
});

Deno.test("call: its deadline is forgotten with its end", async () => {
  using time = new FakeTime();
  const world = new World();
  world.call({ timeoutMs: 100 });
  world.stream.emit("response", { "grpc-status": "5" });
  assert.equal(time.pendingCount, 0);
  await time.advance(200);
  assert.equal(world.ends.length, 1);
});

Deno.test("call: what is sent before there is a connection goes over it, in order", async () => {
  const world = new World();
  const call = world.call({ transport: Promise.resolve(world) });
  call.send(Buffer.from("1"));
  call.send(Buffer.from("2"));
  call.endSending();
  assert.deepEqual(world.stream.written, []);
  await setImmediate();
  call.send(Buffer.from("3"));
  assert.deepEqual(
    world.stream.written,
    ["1", "2", "3"].map((text) => frameMessage(Buffer.from(text))),
  );
  assert.equal(world.stream.isEnded, true);
  call.cancel();
});

Deno.test("call: one that is cancelled before there is a connection is never made", async () => {
  const world = new World();
  world.call({ transport: Promise.resolve(world) }).cancel();
  await setImmediate();
  assert.deepEqual(world.headers, {});
  assert.equal(world.ends[0]?.code, GrpcStatus.cancelled);
});

Deno.test("call: without a connection it is UNAVAILABLE", async () => {
  const [never, closed] = [new World(), new World()];
  never.call({ transport: Promise.reject(new Error("no way")) });
  closed.call({
    transport: {
      request() {
        throw new Error("it is closed");
      },
    },
  });
  await setImmediate();
  assert.deepEqual(never.ends, [{ code: GrpcStatus.unavailable, details: "no way" }]);
  assert.deepEqual(closed.ends, [{ code: GrpcStatus.unavailable, details: "it is closed" }]);
});

const TEXT = {
  path: "/a/b",
  requestSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: String,
};

Deno.test("ask: the answer, and each other end as a status", async () => {
  const options = { maxMessageBytes: 8 };
  const world = new World();
  const answered = ask(world, TEXT, "a question", options);
  assert.equal(world.stream.isEnded, true);
  world.answer("yes");
  world.stream.emit("trailers", { "grpc-status": "0" });
  world.stream.emit("end");
  assert.equal(await answered, "yes");

  const silent = new World();
  const unanswered = ask(silent, TEXT, "a question", options);
  silent.stream.emit("trailers", { "grpc-status": "0" });
  silent.stream.emit("end");
  await assert.rejects(unanswered, { code: GrpcStatus.internal, details: "No message received" });

  const endless = new World();
  const flooded = ask(endless, TEXT, "a question", options);
  endless.answer("yes", "no", "yes");
  await assert.rejects(flooded, { code: GrpcStatus.internal, details: /more than one/ });
  assert.deepEqual(endless.stream.closes, [8], "a server that does not stop is left");

  const closed = {
    request() {
      throw new Error("it is closed");
    },
  };
  await assert.rejects(ask(closed, TEXT, "", options), {
    code: GrpcStatus.unavailable,
    details: "it is closed",
  });

  const wrong = { ...TEXT, requestSerialize: () => assert.fail("a text is no number") };
  await assert.rejects(ask(new World(), wrong, "", options), {
    code: GrpcStatus.internal,
    details: /serialization failure: a text is no number/,
  });
});

Deno.test("ask: its signal cancels it", async () => {
  const [before, meanwhile] = [new World(), new World()];
  const aborted = { maxMessageBytes: 8, signal: AbortSignal.abort() };
  await assert.rejects(ask(before, TEXT, "", aborted), { code: GrpcStatus.cancelled });
  assert.deepEqual(before.stream.written, [], "nothing is asked");

  const controller = new AbortController();
  const asked = ask(meanwhile, TEXT, "", { maxMessageBytes: 8, signal: controller.signal });
  controller.abort();
  await assert.rejects(asked, { code: GrpcStatus.cancelled });
  assert.deepEqual(meanwhile.stream.closes, [8]);
});

/** A call that is read as a stream, and what came of it. */
function stream(world: World) {
  const call = new StreamingCall(world, TEXT, 100).ask("all");
  const seen: unknown[] = [];
  call.on("data", (answer) => seen.push(answer));
  call.on("end", () => seen.push("end"));
  call.on("error", ({ code }) => seen.push(code));
  return { call, seen };
}

Deno.test("call: answers of a stream are events, and its end is the last", async () => {
  const world = new World();
  const { seen } = stream(world);
  assert.equal(world.stream.isEnded, true);
  world.answer("one", "two");
  world.stream.emit("trailers", { "grpc-status": "0" });
  world.stream.emit("end");
  await setImmediate();
  assert.deepEqual(seen, ["one", "two", "end"]);
});

Deno.test("call: a stream that its reader cancels tells nothing more", async () => {
  const world = new World();
  const { call, seen } = stream(world);
  world.answer("one");
  call.cancel();
  world.answer("two");
  world.stream.finish(8);
  await setImmediate();
  assert.deepEqual(seen, ["one"]);
  assert.deepEqual(world.stream.closes, [8]);
});

Deno.test("call: a stream that the server refuses fails with its status", async () => {
  const world = new World();
  const { seen } = stream(world);
  world.answer("one");
  world.stream.emit("trailers", { "grpc-status": "7" });
  await setImmediate();
  assert.deepEqual(seen, ["one", GrpcStatus.permissionDenied]);
});
