/** A job's output as a file: at the pace of who saves it, and never half of it as if it were all. */
import assert from "node:assert/strict";
import { downloadAt, fileNameOf } from "../../client/ui/download.ts";
import { AHEAD_BYTES, pacedStream } from "../../client/ui/paced_stream.ts";

const ID = "0b5cad00-0000-4000-8000-000000000000";
const PIECE = new Uint8Array(64 * 1024);

Deno.test("pacedStream: reads ahead by a bounded part, and on when bytes are taken", async () => {
  let takenBytes = 0;
  const { promise: isFull, resolve: full } = Promise.withResolvers<void>();
  const reader = pacedStream(async (sink) => {
    while (takenBytes < 4 * AHEAD_BYTES) {
      const waiting = sink.room?.();
      if (waiting !== undefined) full();
      await waiting;
      sink.take(PIECE, takenBytes, 0);
      takenBytes += PIECE.length;
    }
  }).getReader();
  await isFull;
  assert(takenBytes <= AHEAD_BYTES, `${takenBytes} bytes were read, and nobody took one`);
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
  }
  assert.equal(bytes, 4 * AHEAD_BYTES);
});

Deno.test("pacedStream: fails where the reading fails", async () => {
  const reader = pacedStream((sink) => {
    sink.take(PIECE, 0, 0);
    return Promise.reject(new Error("the server went away"));
  }).getReader();
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
  }, /the server went away/);
});

Deno.test("pacedStream: ends the reading when nobody takes the bytes any more", async () => {
  const { promise: isLeft, resolve: leave } = Promise.withResolvers<void>();
  const stream = pacedStream((_sink, signal) => {
    signal.addEventListener("abort", () => leave());
    return isLeft;
  });
  await stream.cancel();
  await isLeft;
});

Deno.test("downloadAt: a whole id at its place, and nothing else", () => {
  assert.deepEqual(downloadAt(`/download/${ID}`), { jobID: ID, stderr: false });
  assert.deepEqual(downloadAt(`/download/${ID}/stderr`), { jobID: ID, stderr: true });
  for (const path of ["/download/", "/download/..", `/download/${ID}/x`, `/x/download/${ID}`]) {
    assert.equal(downloadAt(path), undefined, path);
  }
});

Deno.test("fileNameOf: needs no quotes, and hides no file", () => {
  assert.equal(fileNameOf(ID, ""), "0b5cad00.log");
  assert.equal(fileNameOf(ID, "nightly.1"), "nightly.1-0b5cad00.log");
  assert.equal(fileNameOf(ID, "nightly.1", { stderr: true }), "nightly.1-0b5cad00.err");
  assert.equal(fileNameOf(ID, '../.a"b\r\n/é'), "a_b_-0b5cad00.log");
});
