/** Checks of certificates that the runtime's TLS does not make. Pure. */
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate, ExtendedKeyUsage } from "@peculiar/asn1-x509";
import { createHash, type KeyObject, X509Certificate } from "node:crypto";
import { derOf, isCertificate, pemBlocks } from "../../common/pem.ts";

/** RFC 5280, 4.2.1.12: what the holder of a certificate may use it for. */
export const PURPOSE_OIDS = {
  client: "1.3.6.1.5.5.7.3.2",
  server: "1.3.6.1.5.5.7.3.1",
} as const;

const EXTENDED_KEY_USAGE_OID = "2.5.29.37";

/** NIST SP 800-57, part 1: shorter RSA keys give less than 112 bits of security. */
const MIN_RSA_BITS = 2048;

/** Curves of 128 bits of security and more. */
const CURVES: readonly string[] = [
  "prime256v1",
  "P-256",
  "secp384r1",
  "P-384",
  "secp521r1",
  "P-521",
];

/** Names of signature algorithms, as OpenSSL writes them, whose digest has no known collisions. */
const STRONG_SIGNATURE = /sha-?(256|384|512)|ed25519|ed448/i;

/**
 * Finds the certificates in a PEM text; other blocks, such as keys, are skipped.
 *
 * @throws {Error} The text is cut off, or a certificate is damaged.
 */
export function certificatesIn(pem: string): X509Certificate[] {
  return pemBlocks(pem).filter(isCertificate).map((block) => new X509Certificate(derOf(block)));
}

/** Identifies a key: the same key in two certificates is one signer. */
export function keyId(key: KeyObject): string {
  return createHash("sha256").update(key.export({ type: "spki", format: "der" })).digest("hex");
}

/** A serial number in one form: upper-case hexadecimal without leading zeros. */
export function normalSerial(hexadecimal: string): string {
  return hexadecimal.toUpperCase().replace(/^0+(?=.)/, "");
}

/** Why a key is too weak; undefined: it is strong enough. */
export function keyWeakness(certificate: X509Certificate): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  if (type === "rsa") {
    const bits = details?.modulusLength ?? 0;
    return bits >= MIN_RSA_BITS ? undefined : `its RSA key has ${bits} bits`;
  }
  if (type === "ed25519") return undefined;
  if (type === "ec" && CURVES.includes(details?.namedCurve ?? "")) return undefined;
  return `its key is of the kind ${details?.namedCurve ?? type ?? "unknown"}`;
}

/** Why a certificate's signature is too weak; undefined: it is strong enough. */
export function signatureWeakness(certificate: X509Certificate): string | undefined {
  const name = certificate.signatureAlgorithm ?? "an unknown algorithm";
  return STRONG_SIGNATURE.test(name) ? undefined : `it is signed with ${name}`;
}

/**
 * Whether a certificate names a purpose. One that names no purpose is for none.
 *
 * @throws {Error} When the extension cannot be decoded.
 */
export function isFor(certificate: X509Certificate, purpose: keyof typeof PURPOSE_OIDS): boolean {
  const { extensions = [] } = AsnConvert.parse(certificate.raw, Certificate).tbsCertificate;
  const found = extensions.filter(({ extnID }) => extnID === EXTENDED_KEY_USAGE_OID);
  const [extension] = found;
  if (extension === undefined || found.length > 1) return false;
  return [...AsnConvert.parse(extension.extnValue.buffer, ExtendedKeyUsage)]
    .includes(PURPOSE_OIDS[purpose]);
}
