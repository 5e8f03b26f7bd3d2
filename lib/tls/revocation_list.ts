/** Certificate revocation lists (RFC 5280, 5): decoded, and checked for the signature of their CA. */
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  CRLNumber,
  Extension,
  id_ce_cRLNumber,
  Time,
} from "@peculiar/asn1-x509";
import { verify, type X509Certificate } from "node:crypto";
import { derOf, pemBlocks, toPem } from "../../common/pem.ts";
import { criticalExtensionOf, serialOf, splitList } from "./revoked_entries.ts";
import { keyId, normalSerial } from "./x509.ts";

/** The list of one CA's revoked certificates. */
export interface RevocationList {
  /** The key that signed the list and the certificates that it names. */
  authorityKeyId: string;
  /** When the list was made, in milliseconds since 1970-01-01 UTC. */
  thisUpdateMs: number;
  /** Grows with each list of the CA (RFC 5280, 5.2.3); -1: the list has none. */
  number: bigint;
  /** When the CA promises a newer one at the latest; undefined: it does not say. */
  nextUpdateMs: number | undefined;
  /** Serial numbers as {@link normalSerial} writes them. */
  serials: ReadonlySet<string>;
  der: Uint8Array<ArrayBuffer>;
}

/** Digests by the OIDs of RFC 8017 and RFC 5758; null is what needs none (RFC 8410). */
const DIGESTS: ReadonlyMap<string, string | null> = new Map([
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
  ["1.2.840.10045.4.3.2", "sha256"],
  ["1.2.840.10045.4.3.3", "sha384"],
  ["1.2.840.10045.4.3.4", "sha512"],
  ["1.3.101.112", null],
]);

const LABEL = "X509 CRL";

/**
 * Reads the lists in a PEM text, which may hold lists of several CAs.
 *
 * @param options `authorities` are the CAs that are trusted, `nowMs` is the present.
 * @returns The newest list of each of these CAs; lists that none of them has signed are left out.
 * @throws {Error} When there is none, or one is damaged, not yet valid or of an unknown form. The
 * message says what is wrong, without the file's name.
 */
export function parseRevocationLists(
  pem: string,
  { authorities, nowMs }: { authorities: readonly X509Certificate[]; nowMs: number },
): RevocationList[] {
  const blocks = pemBlocks(pem).filter(({ label }) => label === LABEL);
  if (blocks.length === 0) {
    throw new Error(
      'it holds no list in PEM ("BEGIN X509 CRL"); convert other forms with openssl crl',
    );
  }
  const newest = new Map<string, RevocationList>();
  for (const block of blocks) {
    const list = parseList(derOf(block), authorities);
    if (list === undefined) continue;
    if (list.thisUpdateMs > nowMs) {
      throw new Error(
        `it was made at ${timeOf(list.thisUpdateMs)}, which is in the future: check the clock`,
      );
    }
    const known = newest.get(list.authorityKeyId);
    if (known === undefined || follows(list, known)) {
      newest.set(list.authorityKeyId, list);
    }
  }
  return [...newest.values()];
}

/**
 * Replaces lists in force by newer ones. A list stays in force until its CA has made a newer one.
 *
 * @throws {Error} When a list does not follow the one in force.
 */
export function replaceLists(
  inForce: readonly RevocationList[],
  found: readonly RevocationList[],
): RevocationList[] {
  const lists = new Map(inForce.map((list) => [list.authorityKeyId, list]));
  for (const list of found) {
    const known = lists.get(list.authorityKeyId);
    if (known !== undefined && !follows(list, known)) throw new Error(orderProblem(list, known));
    lists.set(list.authorityKeyId, list);
  }
  return [...lists.values()];
}

/**
 * Whether a list can replace another one of its CA: it is newer, or it is of the same second and its
 * number is higher. Where neither tells, it must not let anybody in again.
 */
function follows(list: RevocationList, known: RevocationList): boolean {
  if (list.thisUpdateMs !== known.thisUpdateMs) return list.thisUpdateMs > known.thisUpdateMs;
  if (list.number !== known.number) return list.number > known.number;
  return list.serials.isSupersetOf(known.serials);
}

function orderProblem(list: RevocationList, known: RevocationList): string {
  const madeAt = timeOf(list.thisUpdateMs);
  return list.thisUpdateMs === known.thisUpdateMs
    ? `it was made at ${madeAt} like the one in force, and its number is not higher: make a new one`
    : `it was made at ${madeAt}, before the one in force, made at ${timeOf(known.thisUpdateMs)}`;
}

/** Lists as the text of a file. */
export function formatRevocationLists(lists: readonly RevocationList[]): string {
  return lists.map(({ der }) => toPem(LABEL, der)).join("");
}

function parseList(
  der: Uint8Array<ArrayBuffer>,
  authorities: readonly X509Certificate[],
): RevocationList | undefined {
  const { thisUpdateMs, nextUpdateMs, extensions, serials, critical, ...rest } = decode(der);
  const signer = authorities.find((authority) => isSignedBy(rest, authority));
  if (signer === undefined) return undefined;
  // A delta list, or one for some certificates only, has a critical extension (RFC 5280, 5.2).
  const unknown = extensions.find(({ critical }) => critical) ?? critical;
  if (unknown !== undefined) {
    throw new Error(`it is not a complete list (extension ${unknown.extnID}); give a complete one`);
  }
  return {
    authorityKeyId: keyId(signer.publicKey),
    thisUpdateMs,
    number: numberOf(extensions),
    nextUpdateMs,
    serials: new Set(serials),
    der,
  };
}

/** What a CA has signed, and how. */
interface Signed {
  readonly signed: Uint8Array;
  /** The OID of the algorithm. */
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/** What a list says, and who is on it. */
function decode(der: Uint8Array<ArrayBuffer>) {
  try {
    const { entries, ...list } = splitList(der);
    const timeOf = (time: Uint8Array<ArrayBuffer>) =>
      AsnConvert.parse(time, Time).getTime().getTime();
    const [critical] = entries.flatMap((entry) => criticalExtensionOf(entry) ?? []);
    return {
      signed: list.signed,
      signature: list.signature,
      algorithm: AsnConvert.parse(list.algorithm, AlgorithmIdentifier).algorithm,
      thisUpdateMs: timeOf(list.thisUpdate),
      nextUpdateMs: list.nextUpdate && timeOf(list.nextUpdate),
      extensions: list.extensions.map((extension) => AsnConvert.parse(extension, Extension)),
      serials: entries.map((entry) => normalSerial(serialOf(entry))),
      critical: critical && AsnConvert.parse(critical, Extension),
    };
  } catch {
    throw new Error("it holds a list that cannot be decoded");
  }
}

function numberOf(extensions: readonly Extension[]): bigint {
  const extension = extensions.find(({ extnID }) => extnID === id_ce_cRLNumber);
  if (extension === undefined) return -1n;
  try {
    return BigInt(AsnConvert.parse(extension.extnValue.buffer, CRLNumber).value);
  } catch {
    throw new Error("it holds a list whose number cannot be decoded");
  }
}

function isSignedBy(
  { signed, algorithm, signature }: Signed,
  { publicKey }: X509Certificate,
): boolean {
  const digest = DIGESTS.get(algorithm);
  if (digest === undefined) return false;
  try {
    return verify(digest, signed, publicKey, signature);
  } catch {
    // The key is of another kind than the signature.
    return false;
  }
}

function timeOf(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
