import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { frameOutput } from "../../lib/grpc/output_message.ts";
import { HEADROOM_BYTES, withHeadroom } from "../../lib/logs/headroom.ts";
import { jobService } from "../../proto/contract.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;
const NUMBERS = [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32, 2 ** 32 + 1, LARGEST];

Deno.test("frameOutput: what the contract's own reader reads, for every length of number", () => {
  for (const offset of NUMBERS) {
    for (const gapBytes of NUMBERS) {
      for (const length of [0, 1, 127, 128, 65536]) {
        const output = withHeadroom(new Uint8Array(length).fill(length % 251));
        const timeMs = length === 0 ? 0 : offset;
        const frame = frameOutput({ output, offset, gapBytes, timeMs });
        const view = new DataView(frame.buffer, frame.byteOffset);
        assert.deepEqual([view.getUint8(0), view.getUint32(1)], [0, frame.length - 5]);
        const message = jobService.Stream.responseDeserialize(Buffer.from(frame.subarray(5)));
        const { offset: begin, gapBytes: gap, timeMs: time } = message;
        assert.deepEqual([begin, gap, time], [offset, gapBytes, timeMs]);
        assert.ok(Buffer.compare(message.output, output) === 0);
      }
    }
  }
});

Deno.test("frameOutput: the head never needs more than the headroom", () => {
  const output = withHeadroom(new Uint8Array(1));
  const frame = frameOutput({ output, offset: LARGEST, gapBytes: LARGEST, timeMs: LARGEST });
  // Three bytes of a character may lie before the output.
  assert.ok(frame.length - 1 <= HEADROOM_BYTES - 3);
});

Deno.test("frameOutput: without headroom it throws, and writes nothing", () => {
  const buffer = new Uint8Array(100);
  const output = buffer.subarray(3);
  assert.throws(() => frameOutput({ output, offset: 1, gapBytes: 0, timeMs: 0 }));
  assert.deepEqual(buffer, new Uint8Array(100));
});
