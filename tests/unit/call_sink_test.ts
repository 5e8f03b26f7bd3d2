/** Output that goes to the stream of a call: paced, with its headers first, and never after the end. */
import { strict as assert } from "node:assert";
import { CallSink } from "../../lib/grpc/call_sink.ts";
import { paceSocket } from "../../lib/grpc/pacing.ts";
import { FakeCall, fakeContext, FakeSession, FakeStream } from "../support/fake_http2.ts";

/** A call on a paced connection. */
class SinkCall extends FakeCall<object> {
  headers = 0;

  constructor(stream: FakeStream) {
    super({}, fakeContext().context, stream);
  }

  sendMetadata(): void {
    this.headers++;
    this.call.stream.headersSent = true;
  }
}

function place() {
  const socket = { writableLength: 0, destroyed: false, write: () => true, cork() {}, uncork() {} };
  paceSocket(socket);
  const stream = new FakeStream(new FakeSession(socket));
  stream.headersSent = false;
  const call = new SinkCall(stream);
  return { stream, call, sink: new CallSink(call as never) };
}

Deno.test("CallSink: headers come once, before the first message", () => {
  const { stream, call, sink } = place();
  assert.equal(call.headers, 0);
  sink.write(Uint8Array.of(1));
  sink.write(Uint8Array.of(2));
  assert.equal(call.headers, 1);
  assert.deepEqual(stream.written, [Uint8Array.of(1), Uint8Array.of(2)]);
});

Deno.test("CallSink: a message that has not left has no room behind it", async () => {
  const { sink } = place();
  assert(sink.hasRoom);
  sink.write(Uint8Array.of(1));
  assert(!sink.hasRoom);
  await sink.ready(AbortSignal.abort());
});

Deno.test("CallSink: nothing is written to a stream that is closed or destroyed", () => {
  for (const state of ["closed", "destroyed"] as const) {
    const { stream, call, sink } = place();
    stream[state] = true;
    sink.write(Uint8Array.of(1));
    assert.deepEqual(stream.written, []);
    assert.equal(call.headers, 0);
  }
});
