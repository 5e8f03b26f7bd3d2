import { strict as assert } from "node:assert";
import {
  CHUNK_BYTES,
  giveBackChunk,
  LARGE_CHUNK_BYTES,
  takeChunk,
} from "../../lib/logs/chunk_buffers.ts";
import { collectGarbage } from "../support/garbage.ts";
import { until } from "../support/wait.ts";
import { HEADROOM_BYTES, withHeadroom } from "../../lib/logs/headroom.ts";

Deno.test("takeChunk: the bytes that were asked for, with headroom before them", () => {
  for (const length of [1, 100, CHUNK_BYTES / 4, CHUNK_BYTES - 1, CHUNK_BYTES]) {
    const bytes = takeChunk(length);
    assert.equal(bytes.length, length);
    assert.equal(bytes.byteOffset, HEADROOM_BYTES);
  }
});

Deno.test("takeChunk: nobody has the memory of another one's chunk until it is given back", () => {
  const chunks = Array.from({ length: 40 }, () => takeChunk(CHUNK_BYTES));
  assert.equal(new Set(chunks.map(({ buffer }) => buffer)).size, chunks.length);
  for (const chunk of chunks) giveBackChunk(chunk);
  const again = Array.from({ length: 40 }, () => takeChunk(CHUNK_BYTES));
  assert.equal(new Set(again.map(({ buffer }) => buffer)).size, again.length);
  assert(again.some(({ buffer }) => chunks[0]?.buffer === buffer), "none is used again");
});

Deno.test("takeChunk: a small chunk takes no more memory than it needs", () => {
  assert.equal(takeChunk(10).buffer.byteLength, HEADROOM_BYTES + 10);
});

Deno.test("giveBackChunk: a bounded number is kept, the others are freed at once", () => {
  const chunks = Array.from({ length: 100 }, () => takeChunk(CHUNK_BYTES));
  for (const chunk of chunks) giveBackChunk(chunk);
  const kept = chunks.filter(({ buffer }) => !buffer.detached);
  assert(kept.length * CHUNK_BYTES <= 1024 ** 2, `${kept.length} are kept`);
});

Deno.test("giveBackChunk: memory that is no chunk's is freed, and never used as one", () => {
  for (const other of [withHeadroom(new Uint8Array(100)), takeChunk(10)]) {
    giveBackChunk(other);
    assert(other.buffer.detached);
  }
});

Deno.test("takeChunk: few chunks are large; others are cut to the usual size until one is given back", () => {
  const chunks = Array.from({ length: 40 }, () => takeChunk(LARGE_CHUNK_BYTES));
  const large = chunks.filter(({ length }) => length === LARGE_CHUNK_BYTES);
  assert.equal(large.length * LARGE_CHUNK_BYTES, 4 * 1024 ** 2);
  assert(chunks.every((chunk) => large.includes(chunk) || chunk.length === CHUNK_BYTES));
  assert.equal(new Set(chunks.map(({ buffer }) => buffer)).size, chunks.length);
  // Those that are freed count as little as those that are used again.
  for (let turn = 0; turn < 3; turn++) {
    for (const chunk of large.splice(0)) giveBackChunk(chunk);
    for (let index = 0; index < 20; index++) large.push(takeChunk(LARGE_CHUNK_BYTES - index));
    assert.deepEqual(
      large.map(({ length }) => length > CHUNK_BYTES),
      Array.from({ length: 20 }, (_, index) => index < 16),
    );
    assert.equal(large[3]?.length, LARGE_CHUNK_BYTES - 3);
    assert.equal(large[3]?.byteOffset, HEADROOM_BYTES);
  }
  for (const chunk of large) giveBackChunk(chunk);
  const kept = large.filter(({ buffer }) => buffer.byteLength > HEADROOM_BYTES + CHUNK_BYTES);
  assert.equal(kept.length, 4);
});

Deno.test("takeChunk: a large chunk that nobody has any more makes room for another one", async () => {
  for (let index = 0; index < 16; index++) takeChunk(LARGE_CHUNK_BYTES);
  await until("the large chunks to be gone", async () => {
    await collectGarbage();
    const chunk = takeChunk(LARGE_CHUNK_BYTES);
    giveBackChunk(chunk);
    return chunk.length === LARGE_CHUNK_BYTES;
  });
});
