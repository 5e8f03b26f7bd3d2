/** Bounds on requests that arrive, over fake streams and a fake clock. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { RequestBytes } from "../../lib/access/request_bytes.ts";
import { boundRequest, type RequestRefusal } from "../../lib/grpc/request_bounds.ts";
import { FakeStream } from "../support/fake_http2.ts";
import { FakeTime } from "../support/fake_time.ts";

const MEBIBYTE = 1024 ** 2;

/** A request that arrives: what it is refused for, and what is read of it after that. */
function arriving(path: string, requests = new RequestBytes(), name = "alice") {
  const stream = new FakeStream();
  const refusals: RequestRefusal[] = [];
  const end = boundRequest(stream as never, {
    path,
    held: requests.begin(name),
    refuse: (refusal) => void refusals.push(refusal),
  });
  return { stream, refusals, end };
}

/** The prefix of a message of this size. */
function prefix(bytes: number): Uint8Array {
  const whole = new Uint8Array(5);
  new DataView(whole.buffer).setUint32(1, bytes);
  return whole;
}

Deno.test("boundRequest: a request above the size of its method is refused when it is announced", () => {
  for (const [path, maxBytes] of [["Query", 16_384], ["Start", 4 * MEBIBYTE]] as const) {
    const { stream, refusals } = arriving(`/JobService/${path}`);
    stream.emit("data", prefix(maxBytes));
    assert.deepEqual(refusals, []);
    stream.emit("close");
    const other = arriving(`/JobService/${path}`);
    // The prefix may come byte by byte.
    for (const byte of prefix(maxBytes + 1)) other.stream.emit("data", new Uint8Array([byte]));
    assert.deepEqual(other.refusals, [{
      code: status.RESOURCE_EXHAUSTED,
      details: `a request of ${path} has at most ${maxBytes} bytes; send less`,
    }]);
    other.stream.emit("close");
  }
});

Deno.test("boundRequest: what follows a message counts, and a call is refused once", () => {
  const { stream, refusals } = arriving("/JobService/Query");
  stream.emit("data", prefix(1));
  for (let count = 0; count < 3; count++) stream.emit("data", new Uint8Array(16_000));
  assert.equal(refusals.length, 1);
  stream.emit("close");
});

Deno.test("boundRequest: a request that is not whole in 30 seconds is refused, and its stream closed", async () => {
  using time = new FakeTime();
  const half = arriving("/JobService/Query");
  half.stream.emit("data", prefix(9));
  const whole = arriving("/JobService/Query");
  whole.stream.emit("end");
  const answered = arriving("/JobService/Query");
  answered.end();
  await time.advance(29_999);
  assert.deepEqual(half.refusals, []);
  await time.advance(1);
  assert.deepEqual(half.refusals.map(({ code }) => code), [status.DEADLINE_EXCEEDED]);
  assert.deepEqual([whole.refusals, answered.refusals], [[], []]);
  assert.deepEqual(half.stream.closes, []);
  await time.advance(1000);
  assert.deepEqual(half.stream.closes, [0]);
  for (const { stream } of [half, whole, answered]) stream.emit("close");
});

Deno.test("RequestBytes: one user's share, and what is in all; the end of a call gives it back", () => {
  const requests = new RequestBytes({ maxPerUser: 2 * MEBIBYTE, maxInAll: 3 * MEBIBYTE });
  const first = requests.begin("eve");
  assert.equal(first.add(1.5 * MEBIBYTE), undefined);
  assert.match(requests.begin("eve").add(MEBIBYTE) ?? "", /^eve has requests of 2 MiB under way/);
  assert.equal(requests.begin("alice").add(MEBIBYTE), undefined);
  assert.match(
    requests.begin("bob").add(MEBIBYTE) ?? "",
    /^requests of 3 MiB are under way on this/,
  );
  first.end();
  assert.equal(requests.begin("bob").add(MEBIBYTE), undefined);
});

Deno.test("RequestBytes: usual requests always have room, and small pieces count for what they take", () => {
  const requests = new RequestBytes({ maxPerUser: 0, maxInAll: 0 });
  for (let count = 0; count < 100; count++) {
    assert.equal(requests.begin("eve").add(16_000), undefined);
  }
  const pieces = requests.begin("eve");
  let count = 0;
  while (pieces.add(1) === undefined) count++;
  assert(count < 300, `${count} pieces of one byte`);
});
