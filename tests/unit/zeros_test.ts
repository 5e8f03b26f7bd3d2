import { strict as assert } from "node:assert";
import { hasZero } from "../../lib/logs/zeros.ts";

Deno.test("hasZero: finds one at every place, however the bytes lie in their buffer", () => {
  const buffer = new Uint8Array(64);
  for (let begin = 0; begin < 9; begin++) {
    for (let length = 0; length < 24; length++) {
      buffer.fill(0);
      const bytes = buffer.subarray(begin, begin + length).fill(1);
      assert(!hasZero(bytes), `none in ${length} bytes at ${begin}`);
      for (let at = 0; at < length; at++) {
        bytes[at] = 0;
        assert(hasZero(bytes), `at ${at} of ${length} bytes at ${begin}`);
        bytes[at] = 1;
      }
    }
  }
});

Deno.test("hasZero: no other byte is taken for a zero, beside whichever it stands", () => {
  for (let one = 1; one < 256; one++) {
    const bytes = new Uint8Array(2 * 255);
    for (let other = 1; other < 256; other++) bytes.set([other, one], 2 * (other - 1));
    assert(!hasZero(bytes), `${one}`);
  }
});
