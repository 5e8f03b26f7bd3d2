/** Which certificates may sign others below them (RFC 5280, 4.2.1.3, 4.2.1.9, 4.2.1.12). Pure. */
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  type Extension,
  KeyUsage,
  KeyUsageFlags,
} from "@peculiar/asn1-x509";
import type { X509Certificate } from "node:crypto";
import { keyWeakness, PURPOSE_OIDS, signatureWeakness } from "./x509.ts";

const BASIC_CONSTRAINTS_OID = "2.5.29.19";
const KEY_USAGE_OID = "2.5.29.15";
const EXTENDED_KEY_USAGE_OID = "2.5.29.37";

/** A CA that is restricted to no purpose. */
const ANY_PURPOSE_OID = "2.5.29.37.0";

/** What a CA that stands between a certificate and a trusted CA may be without: nothing. */
export function isIntermediateFor(purpose: keyof typeof PURPOSE_OIDS) {
  return (certificate: X509Certificate, belowCount: number): boolean =>
    certificate.ca && keyWeakness(certificate) === undefined &&
    signatureWeakness(certificate) === undefined &&
    maySignBelow(certificate, belowCount, purpose);
}

/**
 * Whether a CA's own constraints let it sign. One that cannot be decoded may not.
 *
 * @param belowCount CAs between it and the certificate that is checked.
 */
export function maySignBelow(
  { raw }: X509Certificate,
  belowCount: number,
  purpose: keyof typeof PURPOSE_OIDS,
): boolean {
  try {
    const { extensions = [] } = AsnConvert.parse(raw, Certificate).tbsCertificate;
    return hasRoom(extensions, belowCount) && hasKeyUsage(extensions) &&
      hasPurpose(extensions, purpose);
  } catch {
    return false;
  }
}

/** `pathLenConstraint`: so many CAs may be below. */
function hasRoom(extensions: readonly Extension[], belowCount: number): boolean {
  const value = only(extensions, BASIC_CONSTRAINTS_OID);
  // An old root may have none; that it is a CA is the operator's word.
  if (value === undefined) return true;
  const { pathLenConstraint } = AsnConvert.parse(value, BasicConstraints);
  return pathLenConstraint === undefined || belowCount <= pathLenConstraint;
}

function hasKeyUsage(extensions: readonly Extension[]): boolean {
  const value = only(extensions, KEY_USAGE_OID);
  if (value === undefined) return true;
  return (AsnConvert.parse(value, KeyUsage).toNumber() & KeyUsageFlags.keyCertSign) !== 0;
}

/** A CA that names purposes issues for these alone. */
function hasPurpose(
  extensions: readonly Extension[],
  purpose: keyof typeof PURPOSE_OIDS,
): boolean {
  const value = only(extensions, EXTENDED_KEY_USAGE_OID);
  if (value === undefined) return true;
  const purposes = [...AsnConvert.parse(value, ExtendedKeyUsage)];
  return purposes.includes(PURPOSE_OIDS[purpose]) || purposes.includes(ANY_PURPOSE_OID);
}

/** @throws {Error} The certificate has the extension twice. */
function only(extensions: readonly Extension[], oid: string): ArrayBuffer | undefined {
  const [found, ...others] = extensions.filter(({ extnID }) => extnID === oid);
  if (others.length > 0) throw new Error(`the extension ${oid} is there twice`);
  return found?.extnValue.buffer;
}
