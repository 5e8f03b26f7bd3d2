/** Sending a job its input, over connections that never leave the process. */
import { strict as assert } from "node:assert";
import { ConnectionLostError } from "../../client/errors.ts";
import { sendInput, type SendInputOptions } from "../../client/jobs/send_input.ts";
import { FakeConnection, type FakeInputCall } from "../support/fake_connection.ts";
import { until } from "../support/wait.ts";

const JOB = "a3c1e8b4";

/** A source that says how much was taken of it. */
function sourceOf(...pieces: string[]) {
  const source = {
    taken: 0,
    async *[Symbol.asyncIterator]() {
      for (const piece of pieces) {
        source.taken++;
        yield await Promise.resolve(new TextEncoder().encode(piece));
      }
    },
  };
  return source;
}

/** Sends over one connection after another. */
function place(source: AsyncIterable<Uint8Array>, options: Partial<SendInputOptions> = {}) {
  const connections: FakeConnection[] = [];
  const abort = new AbortController();
  const session = {
    connect: () => {
      const connection = new FakeConnection();
      connections.push(connection);
      return Promise.resolve(connection.asConnection);
    },
    isRetryable: (error: unknown) => error instanceof ConnectionLostError,
  };
  const sending = sendInput(
    { jobID: JOB, source, retryForMs: 10_000, ...options },
    { session, signal: abort.signal },
  );
  sending.catch(() => {}); // A test looks at it later.
  return {
    sending,
    abort,
    /** The call over the so-manieth connection. */
    call: (index: number): Promise<FakeInputCall> =>
      until("a call", () => connections[index]?.inputs[0]),
  };
}

/** Waits until a call has brought a text. */
function brought(call: FakeInputCall, text: string): Promise<boolean> {
  return until(`the call to bring ${text}`, () => call.text === text);
}

Deno.test("sendInput: nothing is sent before the first answer, then what is allowed, then the end", async () => {
  const { sending, call } = place(sourceOf("abc", "def"));
  const first = await call(0);
  assert.equal(first.sent.length, 1);
  assert.equal(first.sent[0]?.jobID, JOB);
  assert(first.sent[0]?.sender);
  first.answer(0);
  await brought(first, "abcd");
  first.answer(4);
  await until("the end", () => first.sent.some(({ end }) => end));
  assert.deepEqual(first.sent.slice(1).map(({ offset }) => offset), [0, 3, 4]);
  assert.equal(first.text, "abcdef");
  first.answer(6, { ended: true });
  assert.equal(await sending, true);
  assert(first.isCancelled);
});

Deno.test("sendInput: a broken connection is gone on from where the server is, as the same sender", async () => {
  const lost: number[] = [];
  const resumed: number[] = [];
  const { sending, call } = place(sourceOf("abcdef"), {
    onLost: (offset) => lost.push(offset),
    onResumed: (offset) => resumed.push(offset),
  });
  const first = await call(0);
  first.answer(0);
  await brought(first, "abcd");
  first.emit("error", Object.assign(new Error("gone"), { code: 14, details: "gone" }));
  const second = await call(1);
  assert.equal(second.sent[0]?.sender, first.sent[0]?.sender);
  second.answer(3);
  await brought(second, "def");
  second.answer(6, { ended: true });
  assert.equal(await sending, true);
  assert.deepEqual([lost, resumed], [[4], [3]]);
});

Deno.test("sendInput: a server that has lost bytes, or had some before, is an error and no hole", async () => {
  const lossy = place(sourceOf("abcdef"));
  const first = await lossy.call(0);
  first.answer(0);
  await brought(first, "abcd");
  first.answer(4);
  first.emit("error", Object.assign(new Error("gone"), { code: 14, details: "gone" }));
  (await lossy.call(1)).answer(2);
  await assert.rejects(lossy.sending, /has not kept what it has said it held/);

  const used = place(sourceOf("abc"));
  (await used.call(0)).answer(7);
  await assert.rejects(used.sending, /7 bytes of input were sent to it before/);
  const ended = place(sourceOf("abc"));
  (await ended.call(0)).answer(0, { ended: true });
  await assert.rejects(ended.sending, /its input has ended already/);

  const appending = place(sourceOf("abc"), { appends: true });
  const call = await appending.call(0);
  call.answer(7);
  await brought(call, "abc");
  assert.equal(call.sent[1]?.offset, 7);
  call.answer(10, { ended: true });
  assert.equal(await appending.sending, true);
});

Deno.test("sendInput: a job that reads no more ends it, and no more than two mebibytes are taken ahead", async () => {
  const pieces = Array.from({ length: 40 }, () => "x".repeat(100_000));
  const source = sourceOf(...pieces);
  const { sending, call } = place(source);
  const first = await call(0);
  first.answer(0);
  await until("the buffer to be full", () => source.taken === 21);
  first.answer(4, { unread: true });
  assert.equal(await sending, false);
  assert.equal(source.taken, 21);
});

Deno.test("sendInput: while the connection takes nothing no more than half a mebibyte is written to it", async () => {
  const pieces = Array.from({ length: 40 }, () => "x".repeat(100_000));
  const source = sourceOf(...pieces);
  const { sending, call, abort } = place(source);
  const first = await call(0);
  first.isStuck = true;
  first.answer(0, { allowedBytes: 10_000_000 });
  await until("the buffer to be full", () => source.taken === 21);
  const sentBytes = () => first.sent.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  assert(sentBytes() < 512 * 1024 + 256 * 1024, String(sentBytes()));
  abort.abort(new Error("enough"));
  await assert.rejects(sending, /enough/);
});

Deno.test("sendInput: that the server's disk is full is told once, and the input goes on", async () => {
  let told = 0;
  const { sending, call } = place(sourceOf("abc"), { onDiskFull: () => told++ });
  const first = await call(0);
  first.answer(0, { diskFull: true });
  first.answer(1, { diskFull: true });
  await brought(first, "abc");
  first.answer(3, { ended: true });
  assert.equal(await sending, true);
  assert.equal(told, 1);
});

Deno.test("sendInput: an input that is kept open is over when the server has all of it, and has no end", async () => {
  const { sending, call } = place(sourceOf("abc"), { keepsOpen: true, appends: true });
  const first = await call(0);
  first.answer(7);
  await brought(first, "abc");
  first.answer(9);
  first.emit("error", Object.assign(new Error("gone"), { code: 14, details: "gone" }));
  const second = await call(1);
  second.answer(9);
  await brought(second, "c");
  second.answer(10);
  assert.equal(await sending, true);
  assert(![...first.sent, ...second.sent].some(({ end }) => end));
});

Deno.test("sendInput: a job that has ended was sent all only where it was", async () => {
  const late = place(sourceOf("abc"), { appends: true });
  (await late.call(0)).answer(7, { ended: true, unread: true });
  assert.equal(await late.sending, false);
  const whole = place(sourceOf("abc"));
  const first = await whole.call(0);
  first.answer(0);
  await until("the end", () => first.sent.some(({ end }) => end));
  first.answer(3, { ended: true, unread: true });
  assert.equal(await whole.sending, true);
});

Deno.test("sendInput: what the source throws, and an abort, end it", async () => {
  const failing = place({
    // deno-lint-ignore require-yield -- it has nothing to give
    async *[Symbol.asyncIterator]() {
      await Promise.resolve();
      throw new Error("no such file");
    },
  });
  (await failing.call(0)).answer(0);
  await assert.rejects(failing.sending, /no such file/);
  const aborted = place(sourceOf("abc"));
  await aborted.call(0);
  aborted.abort.abort(new Error("enough"));
  await assert.rejects(aborted.sending, /enough/);
});
