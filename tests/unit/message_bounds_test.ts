/** Bounds on the messages of a call that has many, over fake streams and a fake clock. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { RequestBytes } from "../../lib/access/request_bytes.ts";
import { boundMessages } from "../../lib/grpc/message_bounds.ts";
import type { RequestRefusal } from "../../lib/grpc/request_bounds.ts";
import { FakeStream } from "../support/fake_http2.ts";
import { FakeTime } from "../support/fake_time.ts";

const MEBIBYTE = 1024 ** 2;
const MAX_BYTES = 257 * 1024;

function arriving(requests = new RequestBytes()) {
  const stream = new FakeStream();
  const refusals: RequestRefusal[] = [];
  boundMessages(stream as never, {
    begin: () => requests.begin("eve"),
    refuse: (refusal) => void refusals.push(refusal),
  });
  return { stream, refusals };
}

function message(bytes: number): Uint8Array {
  const whole = new Uint8Array(5 + bytes);
  new DataView(whole.buffer).setUint32(1, bytes);
  return whole;
}

Deno.test("boundMessages: any number of messages may come, in pieces of any size", () => {
  const requests = new RequestBytes({ maxPerUser: MEBIBYTE, maxInAll: MEBIBYTE });
  const { stream, refusals } = arriving(requests);
  const three = new Uint8Array([...message(3), ...message(0), ...message(200_000)]);
  for (let round = 0; round < 20; round++) {
    for (let begin = 0; begin < three.length; begin += 1 + round * 1009) {
      if (round === 0 && begin > 20) break;
      stream.emit("data", three.subarray(begin, begin + 1 + round * 1009));
    }
    if (round === 0) stream.emit("data", three.subarray(21));
  }
  assert.deepEqual(refusals, []);
  stream.emit("close");
});

Deno.test("boundMessages: one that is too long is refused when it is announced, also behind others", () => {
  const { stream, refusals } = arriving();
  stream.emit("data", message(MAX_BYTES));
  assert.deepEqual(refusals, []);
  for (const byte of message(MAX_BYTES + 1).subarray(0, 5)) {
    stream.emit("data", new Uint8Array([byte]));
  }
  assert.deepEqual(refusals, [{
    code: status.RESOURCE_EXHAUSTED,
    details: `a message of Input has at most ${MAX_BYTES} bytes; send less`,
  }]);
  stream.emit("close");
});

Deno.test("boundMessages: each must be whole in 30 seconds, the first one too; between them there is no time limit", async () => {
  using time = new FakeTime();
  const silent = arriving();
  const half = arriving();
  const idle = arriving();
  for (const { stream } of [half, idle]) stream.emit("data", message(1));
  await time.advance(1_000_000);
  assert.deepEqual(silent.refusals.map(({ code }) => code), [status.DEADLINE_EXCEEDED]);
  half.stream.emit("data", message(9).subarray(0, 8));
  await time.advance(29_999);
  assert.deepEqual(half.refusals, []);
  await time.advance(1);
  assert.deepEqual(half.refusals.map(({ code }) => code), [status.DEADLINE_EXCEEDED]);
  assert.deepEqual(idle.refusals, []);
  for (const { stream } of [silent, half, idle]) stream.emit("close");
});

Deno.test("boundMessages: what half messages hold is counted for the user, and given back", () => {
  const requests = new RequestBytes({ maxPerUser: 150_000, maxInAll: MEBIBYTE });
  const half = message(200_000).subarray(0, 180_000);
  const one = arriving(requests);
  one.stream.emit("data", half);
  const two = arriving(requests);
  two.stream.emit("data", half);
  assert.deepEqual([one.refusals.length, two.refusals.length], [0, 1]);
  one.stream.emit("data", message(200_000).subarray(0, 20_005));
  two.stream.emit("close");
  const three = arriving(requests);
  three.stream.emit("data", half);
  assert.deepEqual(three.refusals, []);
  for (const { stream } of [one, three]) stream.emit("close");
});
