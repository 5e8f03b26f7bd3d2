/** The walk over DER: what it finds, and that it never leaves what it was given. */
import { strict as assert } from "node:assert";
import { elementAt, elementsIn } from "../../lib/tls/der.ts";

const bytes = (hex: string) => Uint8Array.fromHex(hex);

Deno.test("elementAt: finds the content after lengths of every form", () => {
  assert.deepEqual(elementAt(bytes("0500"), 0), { tag: 5, begin: 0, content: 2, end: 2 });
  assert.deepEqual(elementAt(bytes("00020100"), 1), { tag: 2, begin: 1, content: 3, end: 4 });
  const long = new Uint8Array([0x04, 0x82, 0x01, 0x00, ...new Uint8Array(256)]);
  assert.deepEqual(elementAt(long, 0), { tag: 4, begin: 0, content: 4, end: 260 });
});

const REFUSED: readonly (readonly [what: string, hex: string])[] = [
  ["nothing", ""],
  ["a tag alone", "30"],
  ["a content that is cut off", "0402ff"],
  ["a length that is cut off", "0482ff"],
  ["a length that is not told (BER)", "30800000"],
  ["a length of five bytes", "04850000000001ff"],
  ["a length beyond all bytes", "0484ffffffff00"],
];

for (const [what, hex] of REFUSED) {
  Deno.test(`elementAt: refuses ${what}`, () => {
    assert.throws(() => elementAt(bytes(hex), 0), RangeError);
  });
}

Deno.test("elementsIn: an element that ends after what it is in is refused", () => {
  const outer = bytes("3003020200ff00");
  assert.throws(() => [...elementsIn(outer, elementAt(outer, 0))], RangeError);
});

Deno.test("elementsIn: gives the elements in their order, and none for an empty one", () => {
  const outer = bytes("3006020101040105");
  assert.deepEqual(
    [...elementsIn(outer, elementAt(outer, 0))].map(({ tag, begin }) => [tag, begin]),
    [[2, 2], [4, 5]],
  );
  assert.deepEqual([...elementsIn(bytes("3000"), elementAt(bytes("3000"), 0))], []);
});
