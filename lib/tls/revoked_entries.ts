/**
 * Takes a revocation list apart (RFC 5280, 5.1): there may be many thousands of entries, and the library
 * overlooks all of them in a list that does not name the time of the next one.
 */
import { type Element, elementAt, elementsIn, sequenceOf, TAG } from "./der.ts";

/** A revocation list, taken apart; each part is DER. */
export interface SplitList {
  /** What the CA has signed. */
  readonly signed: Uint8Array<ArrayBuffer>;
  readonly entries: readonly Uint8Array<ArrayBuffer>[];
  /** The list without its entries. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/**
 * Takes a list apart.
 *
 * @throws {RangeError} It is not a revocation list in DER.
 */
export function splitList(der: Uint8Array<ArrayBuffer>): SplitList {
  const list = requireTag(elementAt(der, 0), TAG.sequence);
  const signed = requireTag(elementAt(der, list.content, list.end), TAG.sequence);
  const part = (begin: number, end: number) => der.subarray(begin, end);
  const entries = entriesOf(der, signed);
  const { begin, end } = entries ?? { begin: signed.end, end: signed.end };
  return {
    signed: part(signed.begin, signed.end),
    entries: [...(entries === undefined ? [] : elementsIn(der, entries))]
      .map((entry) => part(entry.begin, entry.end)),
    rest: sequenceOf(
      sequenceOf(part(signed.content, begin), part(end, signed.end)),
      part(signed.end, list.end),
    ),
  };
}

/**
 * The serial number of an entry, in hexadecimal.
 *
 * @throws {RangeError} It is not an entry.
 */
export function serialOf(entry: Uint8Array): string {
  const [serial] = partsOf(entry);
  const { content, end } = requireTag(serial, TAG.integer);
  return entry.subarray(content, end).toHex();
}

/**
 * The first extension of an entry that must be understood, in DER.
 *
 * @throws {RangeError} It is not an entry.
 */
export function criticalExtensionOf(
  entry: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | undefined {
  const [, , extensions] = partsOf(entry);
  for (const extension of extensions === undefined ? [] : elementsIn(entry, extensions)) {
    // Its OID, whether it is critical (not, where that is left out), and its value.
    const [, critical] = elementsIn(entry, extension);
    if (critical?.tag === TAG.boolean && entry[critical.content] !== 0) {
      return entry.subarray(extension.begin, extension.end);
    }
  }
  return undefined;
}

/** An entry is a serial number, the time of the revocation and, perhaps, extensions. */
function partsOf(entry: Uint8Array): Generator<Element> {
  return elementsIn(entry, requireTag(elementAt(entry, 0), TAG.sequence));
}

function requireTag(element: Element | undefined, tag: number): Element {
  if (element?.tag === tag) return element;
  throw new RangeError("it is not a revocation list");
}

/** The entries are the sequence after the times; a list that names nobody may have none. */
function entriesOf(der: Uint8Array, signed: Element): Element | undefined {
  let isAfterTimes = false;
  for (const element of elementsIn(der, signed)) {
    const isTime = element.tag === TAG.utcTime || element.tag === TAG.generalizedTime;
    if (isAfterTimes && !isTime) return element.tag === TAG.sequence ? element : undefined;
    isAfterTimes ||= isTime;
  }
  return undefined;
}
