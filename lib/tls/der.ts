/**
 * Finds the parts of DER (X.690) without decoding them. The library that decodes it needs 30
 * microseconds for an entry of a revocation list, and refuses a list of more than some 3,300.
 */

/** Tags of the parts that are told apart here. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  /** The field that the structure numbers 0. */
  first: 0xa0,
} as const;

/** One element, by its positions in the bytes. */
export interface Element {
  readonly tag: number;
  readonly begin: number;
  /** Where its content begins, which ends with the element. */
  readonly content: number;
  readonly end: number;
}

/** A length of more bytes than this belongs to nothing that is read here. */
const MAX_LENGTH_BYTES = 4;

/**
 * The element at a position.
 *
 * @param end Where what it is in ends.
 * @throws {RangeError} There is none that ends by then.
 */
export function elementAt(der: Uint8Array, begin: number, end = der.length): Element {
  const tag = byteAt(der, begin, end);
  const first = byteAt(der, begin + 1, end);
  let content = begin + 2;
  let length = first;
  if (first >= 0x80) {
    const lengthBytes = first - 0x80;
    if (lengthBytes === 0 || lengthBytes > MAX_LENGTH_BYTES) throw malformed();
    length = 0;
    for (const last = content + lengthBytes; content < last; content++) {
      length = length * 256 + byteAt(der, content, end);
    }
  }
  if (content + length > end) throw malformed();
  return { tag, begin, content, end: content + length };
}

/**
 * The elements in the content of another one, in their order.
 *
 * @throws {RangeError} Its content is something else.
 */
export function* elementsIn(der: Uint8Array, { content, end }: Element): Generator<Element> {
  for (let position = content; position < end;) {
    const element = elementAt(der, position, end);
    yield element;
    position = element.end;
  }
}

function byteAt(der: Uint8Array, position: number, end: number): number {
  const byte = position < end ? der[position] : undefined;
  if (byte === undefined) throw malformed();
  return byte;
}

function malformed(): RangeError {
  return new RangeError("it is not DER");
}
