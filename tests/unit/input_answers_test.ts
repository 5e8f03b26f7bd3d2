/** The windows of a connection that brings the input of jobs. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import type { InputRequest__Output, InputResponse } from "../../proto/contract.ts";
import { InputAnswers } from "../../lib/grpc/input_answers.ts";
import { FakeCall, fakeContext, FakeSession, FakeStream } from "../support/fake_http2.ts";

/** A session that keeps what windows it was given. */
class WindowedSession extends FakeSession {
  readonly windows: number[] = [];
  readonly sent: object[] = [];

  setLocalWindowSize(bytes: number): void {
    this.windows.push(bytes);
  }

  settings(settings: object): void {
    this.sent.push(settings);
  }
}

function answers(session: WindowedSession): InputAnswers<InputRequest__Output> {
  const { context } = fakeContext();
  const call = new FakeCall({}, context, new FakeStream(session));
  return new InputAnswers(
    call as unknown as ServerDuplexStream<InputRequest__Output, InputResponse>,
  );
}

Deno.test("Input: a connection is widened once, however many calls it brings", () => {
  const socket = { bytesWritten: 0 };
  const [busy, other] = [new WindowedSession(socket), new WindowedSession(socket)];
  for (let calls = 0; calls < 20; calls++) answers(busy)[Symbol.dispose]();
  answers(other)[Symbol.dispose]();
  for (const { windows, sent } of [busy, other]) {
    assert.deepEqual(windows, [1024 ** 2]);
    assert.deepEqual(sent, [{ initialWindowSize: 1024 ** 2 }]);
  }
});
