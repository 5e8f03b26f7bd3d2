/** The contents of the certificates of this tool: RSA 4096, signed with sha256WithRSAEncryption. */
import type { KeyObject } from "node:crypto";
import { encodeRoles, type Role } from "../lib/tls/role.ts";
import type { ServerName } from "./arguments.ts";
import { publicKeyDer, signingKey } from "./keys.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "./x509.ts";

/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** A certificate is valid from a little before it was made: other hosts' clocks may be behind. */
const CLOCK_SKEW_MS = 60 * 60 * 1000;

/** When a certificate is valid. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What a certificate is for, with the data that goes with it. */
export type Purpose =
  | { readonly kind: "client"; readonly roles: readonly Role[]; readonly roleOid: string }
  | { readonly kind: "server"; readonly names: readonly ServerName[] };

/** What signs certificates. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/**
 * A time of validity that ends some days from now, in whole seconds as X.509 has them.
 *
 * @param now the present
 * @param days how long, from now on
 */
export function validityOf(now: Date, days: number): Validity {
  const nowMs = Math.floor(now.getTime() / 1000) * 1000;
  return {
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
  };
}

/**
 * Makes the certificate of a CA, signed by itself. It may sign certificates of servers and clients,
 * and no further CA (RFC 5280, 4.2.1.9: path length 0).
 */
export async function makeAuthorityCertificate(
  key: KeyObject,
  options: { commonName: string; validity: Validity },
): Promise<X509Certificate> {
  const publicKey = new PublicKey(publicKeyDer(key));
  return await X509CertificateGenerator.create({
    subject: nameOf(options.commonName),
    issuer: nameOf(options.commonName),
    ...options.validity,
    publicKey,
    signingKey: await signingKey(key),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
}

/**
 * Makes a certificate of a server or a client. The serial number is random, 128 bits and positive,
 * which the library does by itself.
 */
export async function makeLeafCertificate(
  key: KeyObject,
  options: { commonName: string; validity: Validity; purpose: Purpose; issuer: Issuer },
): Promise<X509Certificate> {
  const publicKey = new PublicKey(publicKeyDer(key));
  return await X509CertificateGenerator.create({
    subject: nameOf(options.commonName),
    issuer: options.issuer.certificate.subjectName,
    ...options.validity,
    publicKey,
    signingKey: await signingKey(options.issuer.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      new AuthorityKeyIdentifierExtension(await keyIdentifierOf(options.issuer.certificate)),
      ...purposeExtensions(options.purpose),
    ],
  });
}

/** A name that is a common name and nothing else. UTF8String: no character needs an escape. */
function nameOf(commonName: string): Name {
  return new Name([{ CN: [{ utf8String: commonName }] }]);
}

function purposeExtensions(purpose: Purpose): Extension[] {
  if (purpose.kind === "client") {
    return [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      // Not critical: OpenSSL refuses certificates with critical extensions that it does not know.
      new Extension(purpose.roleOid, false, encodeRoles(purpose.roles)),
    ];
  }
  const names: JsonGeneralName[] = purpose.names.map(({ type, value }) => ({ type, value }));
  return [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(names),
  ];
}

/** The issuer's key identifier as its own certificate says it; another tool may have chosen it. */
async function keyIdentifierOf(certificate: X509Certificate): Promise<string> {
  const own = certificate.getExtension(SubjectKeyIdentifierExtension);
  if (own !== null) return own.keyId;
  return new Uint8Array(await certificate.publicKey.getKeyIdentifier()).toHex();
}
