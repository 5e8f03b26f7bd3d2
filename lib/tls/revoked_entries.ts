/**
 * Takes a revocation list apart (RFC 5280, 5.1): there may be many thousands of entries, and of a list
 * that does not name the time of the next one the library overlooks entries or extensions.
 */
import { type Element, elementAt, elementsIn, TAG } from "./der.ts";

type Der = Uint8Array<ArrayBuffer>;

/** A revocation list, taken apart; each part is DER unless it says otherwise. */
export interface SplitList {
  /** What the CA has signed. */
  readonly signed: Der;
  readonly thisUpdate: Der;
  /** Undefined: the list does not say when the next one comes. */
  readonly nextUpdate: Der | undefined;
  readonly entries: readonly Der[];
  readonly extensions: readonly Der[];
  readonly algorithm: Der;
  /** The signature's own bytes. */
  readonly signature: Der;
}

const TIMES = [TAG.utcTime, TAG.generalizedTime];

/**
 * Takes a list apart.
 *
 * @throws {RangeError} It is not a revocation list in DER.
 */
export function splitList(der: Der): SplitList {
  const partOf = ({ begin, end }: Element) => der.subarray(begin, end);
  const partsIn = (element: Element | undefined) =>
    element === undefined ? [] : [...elementsIn(der, element)].map(partOf);
  const list = new Parts(der, requireTag(elementAt(der, 0), TAG.sequence));
  const signed = list.take(TAG.sequence);
  const algorithm = list.take(TAG.sequence);
  const signature = list.take(TAG.bitString);
  const parts = new Parts(der, signed);
  parts.takeIf(TAG.integer); // The version.
  parts.take(TAG.sequence); // The algorithm once more.
  parts.take(TAG.sequence); // The issuer: its key decides.
  const thisUpdate = parts.take(...TIMES);
  const nextUpdate = parts.takeIf(...TIMES);
  const entries = parts.takeIf(TAG.sequence);
  const tagged = parts.takeIf(TAG.first);
  parts.end();
  const extensions = tagged && new Parts(der, tagged).take(TAG.sequence);
  return {
    signed: partOf(signed),
    thisUpdate: partOf(thisUpdate),
    nextUpdate: nextUpdate && partOf(nextUpdate),
    entries: partsIn(entries),
    extensions: partsIn(extensions),
    algorithm: partOf(algorithm),
    // Before it stands how many of its last bits are not used.
    signature: der.subarray(signature.content + 1, signature.end),
  };
}

/**
 * The serial number of an entry, in hexadecimal.
 *
 * @throws {RangeError} It is not an entry.
 */
export function serialOf(entry: Uint8Array): string {
  const { content, end } = partsOf(entry).take(TAG.integer);
  return entry.subarray(content, end).toHex();
}

/**
 * The first extension of an entry that must be understood, in DER.
 *
 * @throws {RangeError} It is not an entry.
 */
export function criticalExtensionOf(entry: Der): Der | undefined {
  const parts = partsOf(entry);
  parts.take(TAG.integer);
  parts.take(...TIMES);
  const extensions = parts.takeIf(TAG.sequence);
  parts.end();
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
function partsOf(entry: Uint8Array): Parts {
  return new Parts(entry, requireTag(elementAt(entry, 0), TAG.sequence));
}

/** The elements in another one, which are taken one after the other; what is missing is an error. */
class Parts {
  readonly #elements: readonly Element[];
  #next = 0;

  constructor(der: Uint8Array, element: Element) {
    this.#elements = [...elementsIn(der, element)];
  }

  take(...tags: readonly number[]): Element {
    return requireTag(this.#elements[this.#next++], ...tags);
  }

  takeIf(...tags: readonly number[]): Element | undefined {
    const element = this.#elements[this.#next];
    return element !== undefined && tags.includes(element.tag) ? this.take(...tags) : undefined;
  }

  end(): void {
    if (this.#next !== this.#elements.length) throw new RangeError("it has a part more");
  }
}

function requireTag(element: Element | undefined, ...tags: readonly number[]): Element {
  if (element !== undefined && tags.includes(element.tag)) return element;
  throw new RangeError("it is not a revocation list");
}
